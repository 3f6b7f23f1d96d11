"""Fills a box: registers its gateways, gives them certificates, and makes their folders.

Everything is judged before anything is written. Then it goes on by a few hundred units: their keys are made, and one
transaction records gateways and certificates; before it commits, keys and certificates are in the box's journal. The
folders come after it. Wherever a run is cut off, the next one finds what there is and goes on.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives import serialization

from tds.fleet.models import Gateway, GatewayStatus, Tenant
from tds.fleet.probe import PROBE_TENANT
from tds.identity.authorities.authority import Authority
from tds.identity.factory import nvs, unit_folder
from tds.identity.factory.box import Box, BoxRefusedError, Entry
from tds.identity.factory.provisioning_rules import (
    Given,
    InBox,
    Issue,
    Keep,
    Registered,
    Resume,
    RowRefusedError,
    decide,
)
from tds.identity.factory.records import Records
from tds.identity.factory.unit_folder import Credentials, Order
from tds.identity.factory.units import Findings, Unit
from tds.identity.models import Certificate
from tds.identity.names import shown
from tds.identity.revocation import handover

UNITS_AT_ONCE: Final = 250  # of a transaction: so few that others wait for none of its rows for long
CODES_AT_ONCE: Final = 1_000  # of a look into the database

Decision = Keep | Resume | Issue


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for each unit, in the order of the file. No row of it is refused."""

    rows: tuple[tuple[Unit, Decision], ...]
    tenants: Mapping[str, int]  # ids by slug

    def count(self, kind: type[Decision]) -> int:
        return sum(isinstance(decision, kind) for _unit, decision in self.rows)


@dataclass(frozen=True, slots=True)
class Making:
    """What is the same for all units of a run."""

    authority: Authority
    server_ca: bytes  # PEM: what units trust in servers
    broker: str  # for rows that name none
    by: str  # for the audit trail
    trusted: frozenset[str]  # names of the device authorities whose gateways are let in
    trust_roots: str = ""  # whom units believe what they may install

    def check_room(self) -> None:
        """Raises ImageTooLargeError: before the first certificate is given, and not at the first image."""
        issuer = self.authority.certificate.public_bytes(serialization.Encoding.PEM)
        nvs.check_room(self.server_ca.decode("ascii"), issuer.decode("ascii"))


@dataclass(slots=True)
class Outcome:
    """What a run did, in units; `entries` is the list of the box, by code."""

    made: int = 0
    completed: int = 0  # their certificate was given by a run that was cut off
    kept: int = 0
    brought_up_to_date: int = 0  # of the kept: files beside key and certificate that had to be made anew
    registered: int = 0
    superseded: int = 0  # certificates
    waiting: int = 0  # units that the list leaves out, whose keys are in the journal alone
    waiting_until: datetime | None = None  # the first of their certificates runs out
    entries: dict[str, Entry] = field(default_factory=dict)


def plan(units: Sequence[Unit], box: Box, *, trusted: Collection[str], now: datetime, reissue: bool) -> Plan:
    """Judge every row against database and box. Writes nothing. Raises UnitsRefusedError.

    `trusted` names the device authorities whose gateways are let in.
    """
    findings = Findings()
    tenants = _tenants(units, findings)
    findings.refuse()
    journaled, listed = box.journal.read(), box.entries()
    registered = _registered([unit.code for unit in units], trusted)
    held_up = _held_up(units, registered, tenants, now)
    folded = {code.casefold(): code for code in listed}
    rows: list[tuple[Unit, Decision]] = []
    for unit in units:
        called = folded.get(unit.code.casefold(), unit.code)
        if called != unit.code:
            findings.add(
                f"Line {unit.line}: the box has a unit {shown(called)}, and Windows would take {shown(unit.code)} for "
                "the same; use another box."
            )
            continue
        if unit.code in held_up:
            findings.add(f"Line {unit.line}: {held_up[unit.code]}")
            continue
        in_box = InBox(
            unit_folder.look(box.path, unit.code),
            journaled.get(unit.code),
            listed.get(unit.code, {}).get("serial", ""),
        )
        try:
            rows.append((unit, decide(unit, registered.get(unit.code), in_box, now=now, reissue=reissue)))
        except RowRefusedError as refused:
            findings.add(f"Line {unit.line}: {refused}")
    findings.refuse()
    return Plan(tuple(rows), tenants)


def fill(
    box: Box, planned: Plan, making: Making, *, clock: Callable[[], datetime], done: Callable[[int], None]
) -> Outcome:
    """Carry a plan out; `done` hears how many units were finished since it heard last.

    Raises ChangedMeanwhileError, BoxRefusedError, ImageTooLargeError, OSError, and what the database raises; what was
    done until then stays, and the next run goes on from there.
    """
    box.clear()
    outcome = Outcome(entries=box.entries())
    records = Records(making.authority, making.by, box, planned.tenants)
    for start in range(0, len(planned.rows), UNITS_AT_ONCE):
        rows = planned.rows[start : start + UNITS_AT_ONCE]
        issues = [(unit, decision) for unit, decision in rows if isinstance(decision, Issue)]
        given = records.give(issues, now=clock()) if issues else {}
        outcome.registered += sum(decision.gateway_id is None for _unit, decision in issues)
        outcome.superseded += sum(len(decision.superseded) for _unit, decision in issues)
        for unit, decision in rows:
            own = decision.credentials if isinstance(decision, Resume) else given.get(unit.code)
            entry = _keep(unit, box, making, outcome) if own is None else _make(unit, own, box, making)
            outcome.entries[unit.code] = entry
            box.settled.add(unit.code)
            outcome.made += isinstance(decision, Issue)
            outcome.completed += isinstance(decision, Resume)
            done(1)
    return outcome


def still_good(serials: Collection[str], *, now: datetime) -> set[str]:
    """Of certificates those that are recorded, and neither revoked nor over."""
    found: set[str] = set()
    wanted = list(serials)
    for start in range(0, len(wanted), CODES_AT_ONCE):
        of = Certificate.objects.filter(serial__in=wanted[start : start + CODES_AT_ONCE], revoked_at=None)
        found.update(of.filter(not_after__gt=now).values_list("serial", flat=True))
    return found


def _make(unit: Unit, own: Credentials, box: Box, making: Making) -> Entry:
    order = Order(unit, unit.broker or making.broker, making.server_ca, own, making.trust_roots)
    return _entry(order, unit_folder.write(box.path, order))


def _keep(unit: Unit, box: Box, making: Making, outcome: Outcome) -> Entry:
    own = unit_folder.read(box.path, unit.code)
    if own is None:
        raise BoxRefusedError(f"{box.path / unit.code} was changed during the run; leave the box alone, and run again.")
    order = Order(unit, unit.broker or making.broker, making.server_ca, own, making.trust_roots)
    image_sha256, anew = unit_folder.mend(box.path, order)
    outcome.kept += 1
    outcome.brought_up_to_date += anew
    return _entry(order, image_sha256)


def _entry(order: Order, image_sha256: str) -> Entry:
    """For the box's list, which people pass on: nothing of the network, and no key."""
    unit, own = order.unit, order.credentials
    return {
        "code": unit.code,
        "tenant": unit.tenant,
        "site": unit.site,
        "family": unit.family,
        "hardware": unit.hardware,
        "broker": order.broker,
        "apn": unit.apn,
        "serial": own.serial,
        "sha256": own.fingerprint,
        "not_before": own.not_before.isoformat(),
        "not_after": own.not_after.isoformat(),
        "image_sha256": image_sha256,
    }


def _tenants(units: Iterable[Unit], findings: Findings) -> dict[str, int]:
    first: dict[str, int] = {}
    for unit in units:
        first.setdefault(unit.tenant, unit.line)
    there = dict(Tenant.objects.filter(slug__in=first).exclude(slug=PROBE_TENANT).values_list("slug", "pk"))
    for slug, line in first.items():
        if slug not in there:
            findings.add(f"Line {line}: there is no tenant {shown(slug)}; make it first: ./tds tenant add {slug}")
    return there


def _registered(codes: Sequence[str], trusted: Collection[str]) -> dict[str, Registered]:
    found: dict[str, Registered] = {}
    for start in range(0, len(codes), CODES_AT_ONCE):
        gateways = list(
            Gateway.objects.filter(code__in=codes[start : start + CODES_AT_ONCE])
            .exclude(status=GatewayStatus.RETIRED)
            .values_list("pk", "code", "tenant__slug", "status", "last_seen_at")
        )
        certificates = _certificates([pk for pk, *_rest in gateways], trusted)
        for pk, code, slug, status, seen_at in gateways:
            found[code] = Registered(pk, slug, status, seen_at is not None, certificates[pk])
    return found


def _held_up(
    units: Sequence[Unit], registered: Mapping[str, Registered], tenants: Mapping[str, int], now: datetime
) -> dict[str, str]:
    """Sentences for new codes that brokers may still let a former owner in with."""
    new = [unit for unit in units if unit.code not in registered]
    found: dict[str, str] = {}
    for start in range(0, len(new), CODES_AT_ONCE):
        wanted = {unit.code: tenants[unit.tenant] for unit in new[start : start + CODES_AT_ONCE]}
        found |= handover.obstacles(wanted, now=now)
    return found


def _certificates(gateway_ids: Sequence[int], trusted: Collection[str]) -> dict[int, list[Given]]:
    found: dict[int, list[Given]] = defaultdict(list)
    rows = Certificate.objects.filter(gateway__in=gateway_ids).order_by("pk")
    for gateway_id, pk, serial, how, not_after, revoked_at, issuer in rows.values_list(
        "gateway", "pk", "serial", "how", "not_after", "revoked_at", "issuer"
    ):
        found[gateway_id].append(Given(pk, serial, how, not_after, revoked_at is not None, issuer in trusted))
    return found
