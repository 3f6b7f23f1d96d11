"""Executions, and what gateways report of them, for tests."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from tds.fleet.models import Gateway, Tenant
from tds.updates.executions.deeds import new_public_id
from tds.updates.models import Execution, Release, Rollout, RolloutStatus, RunningFirmware, Wave

NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIFE: Final = "5f0c2a91"
OLD: Final = hashlib.sha256(b"1.0.0").hexdigest()
TARGET: Final = hashlib.sha256(b"1.1.0").hexdigest()
THIRD: Final = hashlib.sha256(b"0.9.0").hexdigest()
VERSIONS: Final = {OLD: ("1.0.0", 6), TARGET: ("1.1.0", 7), THIRD: ("0.9.0", 5)}
LIMITS: Final[dict[str, Any]] = {
    "success_percent": 95.0,
    "failure_percent": 10.0,
    "failure_min_finished": 5,
    "soak_s": 0,
    "concurrency": 500,
    "spread_s": 0,
    "offer_limit_s": 86_400,
}
_numbers = count(1)


def running(sha256: str = OLD, *, confirmed: bool = True, **fields: Any) -> dict[str, Any]:
    version, counter = VERSIONS[sha256]
    return {
        "version": version,
        "sha256": sha256,
        "slot": 1 if sha256 == TARGET else 0,
        "counter": counter,
        "confirmed": confirmed,
        "boot_reason": "power",
        "family": "dcu-0080",
        "hardware": "A",
        "chip": "host",
        "trust_version": 1,
        "trust_expired": False,
    } | fields


def claim(execution_id: str, status: str = "IN_PROGRESS", phase: str = "", reason: str = "", **fields: Any) -> Any:
    return {
        "execution_id": execution_id,
        "status": status,
        "phase": phase,
        "reason": reason,
        "detail": "",
        "bytes": 0,
        "size": 1_048_576,
    } | fields


def report(
    code: str, boot: int, number: int, runs: dict[str, Any], execution: Any = None, *, life: str = LIFE, **fields: Any
) -> dict[str, Any]:
    return {
        "gateway_code": code,
        "life": life,
        "boot": boot,
        "number": number,
        "time": 1_764_115_200,
        "running": runs,
        "execution": execution,
    } | fields


def as_bytes(document: Any) -> bytes:
    return json.dumps(document).encode()


@dataclass
class Unit:
    """A gateway's own account of itself: each call is its next report."""

    code: str
    execution_id: str
    boot: int = 1
    number: int = 0
    life: str = LIFE
    sha256: str = OLD
    confirmed: bool = True
    sent: list[bytes] = field(default_factory=list)

    def says(self, status: str = "", phase: str = "", reason: str = "", **fields: Any) -> bytes:
        self.number += 1
        told = claim(self.execution_id, status, phase, reason, **fields) if status else None
        runs = running(self.sha256, confirmed=self.confirmed)
        self.sent.append(as_bytes(report(self.code, self.boot, self.number, runs, told, life=self.life)))
        return self.sent[-1]

    def phase(self, phase: str, **fields: Any) -> bytes:
        return self.says("IN_PROGRESS", phase, **fields)

    def starts(self, sha256: str | None = None, *, confirmed: bool = True) -> None:
        self.boot, self.number = self.boot + 1, 0
        self.sha256, self.confirmed = sha256 or self.sha256, confirmed


def release(version: str = "1.1.0", sha256: str = TARGET, **fields: Any) -> Release:
    manifest = f"manifest of {version} {next(_numbers)}"
    return Release.objects.create(
        **{
            "product": "dcu",
            "version": version,
            "counter": next(_numbers),
            "families": ["dcu-0080"],
            "chip": "host",
            "hardware": ["*"],
            "size": 1_048_576,
            "sha256": sha256,
            "released_at": NOW,
            "manifest": manifest,
            "manifest_sha256": hashlib.sha256(manifest.encode()).hexdigest(),
            "key_id": "k" * 43,
            "status": "published",
        }
        | fields
    )


def rollout(of_release: Release, *, tenant: Tenant | None = None, **fields: Any) -> Rollout:
    made = Rollout.objects.create(
        **LIMITS
        | {"release": of_release, "tenant": tenant, "status": RolloutStatus.RUNNING, "current_wave": 1}
        | fields
    )
    Wave.objects.create(rollout=made, number=1, size=1, label="1", opened_at=NOW)
    return made


def execution(of_rollout: Rollout, gateway: Gateway, **fields: Any) -> Execution:
    place = Execution.objects.filter(rollout=of_rollout, wave=1).count()
    return Execution.objects.create(
        **{
            "public_id": new_public_id(),
            "rollout": of_rollout,
            "wave": 1,
            "place": place,
            "gateway": gateway,
            "family": gateway.family,
            "hardware": gateway.hardware,
            "time_zone": "America/Sao_Paulo",
            "changed_at": NOW,
        }
        | fields
    )


def runs(gateway: Gateway, sha256: str = OLD, **fields: Any) -> RunningFirmware:
    """As if it had reported that before."""
    version, counter = VERSIONS[sha256]
    return RunningFirmware.objects.create(
        **{
            "gateway": gateway,
            "version": version,
            "sha256": sha256,
            "slot": 0,
            "counter": counter,
            "confirmed": True,
            "life": LIFE,
            "boot": 1,
            "number": 0,
            "trust_version": 1,
            "started_at": NOW,
            "reported_at": NOW,
        }
        | fields
    )


@dataclass(frozen=True)
class Got:
    """What a broker made of a command."""

    outcome: str
    detail: str


@dataclass(frozen=True)
class Spot:
    """Where a gateway is connected."""

    brokers: tuple[str, ...]
    since: datetime
