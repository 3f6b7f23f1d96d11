"""What the server's database says of a rehearsal's rollout and devices, and when."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from tds.rehearsal.facts import Belief, Runs
from tds.updates.executions.statuses import Status

LOOK_LIMIT_S: Final = 10

BELIEFS: Final = """
    SELECT g.code, g.id, f.slot, f.sha256, f.confirmed, coalesce(f.trust_version, 0), e.wave, e.status, e.phase,
           e.reason, e.detail, e.attempt, e.offered_at, e.accepted
    FROM tds_new_gateway g
        LEFT JOIN tds_new_runningfirmware f ON f.gateway_id = g.id
        LEFT JOIN tds_new_execution e ON e.gateway_id = g.id AND e.rollout_id = %s"""
ROLLOUT: Final = "SELECT status, halted_why, started_at, stopped_at, finished_at FROM tds_new_rollout WHERE id = %s"
WAVES: Final = "SELECT number, label, size, opened_at FROM tds_new_wave WHERE rollout_id = %s ORDER BY number"


@dataclass(frozen=True, slots=True)
class Wave:
    number: int
    label: str
    size: int
    opened_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Of the rollout."""

    status: str
    halted_why: str
    started_at: datetime | None
    stopped_at: datetime | None
    finished_at: datetime | None
    waves: tuple[Wave, ...]

    @property
    def opened(self) -> int:
        return sum(wave.opened_at is not None for wave in self.waves)


def connect(database_url: str) -> psycopg.Connection[Any]:
    options = f"-c statement_timeout={LOOK_LIMIT_S * 1000}"
    return psycopg.connect(database_url, autocommit=True, connect_timeout=LOOK_LIMIT_S, options=options)


def of_devices(connection: psycopg.Connection[Any], rollout: int | None) -> dict[str, Belief]:
    found = {}
    for code, gateway_id, slot, sha256, confirmed, trust, wave, status, *rest in connection.execute(BELIEFS, [rollout]):
        phase, reason, detail, attempt, offered_at, accepted = rest
        found[code] = Belief(
            code=code,
            gateway_id=gateway_id,
            runs=None if sha256 is None else Runs(slot, sha256, confirmed),
            trust_version=trust,
            wave=wave or 0,
            status=Status(status) if status else None,
            phase=phase or "",
            reason=reason or "",
            detail=detail or "",
            attempt=attempt or 0,
            offered_at=offered_at,
            accepted=bool(accepted),
        )
    return found


def of_rollout(connection: psycopg.Connection[Any], rollout: int) -> Standing:
    row = connection.execute(ROLLOUT, [rollout]).fetchone()
    assert row  # noqa: S101  # it was made by this rehearsal
    waves = tuple(Wave(*wave) for wave in connection.execute(WAVES, [rollout]))
    status, halted_why, started_at, stopped_at, finished_at = row
    return Standing(status, halted_why, started_at, stopped_at, finished_at, waves)
