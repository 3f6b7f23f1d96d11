"""From messages to rows: whose gateway, which device, which metric; and the rules that only the database can judge."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg

from tds.fleet.directory import Directory
from tds.fleet.known import KnownGateway
from tds.fleet.registration import Newcomer, Obstacle, lock, note, plan, refused_as_noted, register, survey
from tds.ingest.ledger import Ledger
from tds.ingest.messages import Arrival, Message, Refusal
from tds.ingest.reasons import Reason, sentence
from tds.ingest.wire import timestamp_of
from tds.readings.store import Rows

Verdict = Message | Refusal


def learn_gateways(
    connection: psycopg.Connection[Any], directory: Directory, arrivals: Sequence[Arrival], verdicts: Sequence[Verdict]
) -> None:
    """Make the directory know every gateway that a batch names."""
    codes = {v.gateway_code or arrival.gateway_code for arrival, v in zip(arrivals, verdicts, strict=True)}
    directory.learn(connection, (code for code in codes if code is not None))


def refuse_by_gateway(directory: Directory, arrivals: Sequence[Arrival], verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts, with messages of unknown, disabled and former gateways refused."""
    return [
        _by_gateway(directory, arrival, verdict) if isinstance(verdict, Message) else verdict
        for arrival, verdict in zip(arrivals, verdicts, strict=True)
    ]


def _by_gateway(directory: Directory, arrival: Arrival, message: Message) -> Verdict:
    gateway = directory.get(message.gateway_code)
    if gateway is None:
        return _refusal(Reason.UNKNOWN_GATEWAY, message)
    if arrival.tenant_id is not None and arrival.tenant_id != gateway.tenant_id:
        # Kept for a tenant that retired the code since then; who has it now gets none of it.
        return _refusal(Reason.PREVIOUS_OWNER, message)
    if not gateway.active:
        return _refusal(Reason.GATEWAY_DISABLED, message)
    if gateway.former_until is not None and _is_former(gateway.former_until, message.time, arrival.received_at):
        return _refusal(Reason.PREVIOUS_OWNER, message)
    return message


def owner(
    directory: Directory, arrival: Arrival, refusal: Refusal, *, now: datetime
) -> tuple[KnownGateway | None, int | None]:
    """Whose gateway a refused message is from, and the tenant that may look at it: not always the same one's."""
    code = refusal.gateway_code or arrival.gateway_code
    gateway = directory.get(code) if code else None
    if gateway is None or arrival.tenant_id not in (None, gateway.tenant_id):
        # The second: a code that changed hands between the look at a token and now.
        return None, arrival.tenant_id
    # Whatever rule is the first one broken, what was measured under a former owner is not the present one's to see.
    until = gateway.former_until
    former = until is not None and _is_former(until, timestamp_of(arrival.payload), arrival.received_at or now)
    if former or refusal.reason is Reason.PREVIOUS_OWNER:
        return gateway, None
    return gateway, gateway.tenant_id


def _is_former(until: datetime, measured_at: datetime | None, received_at: datetime | None) -> bool:
    """Whether a message is older than the day its gateway's code changed hands. None: not known."""
    # What had arrived by then was measured by then, whatever its clock says.
    return (received_at is not None and received_at < until) or (measured_at is not None and measured_at < until)


def register_newcomers(
    connection: psycopg.Connection[Any],
    directory: Directory,
    arrivals: Sequence[Arrival],
    verdicts: list[Verdict],
    also_locked: Collection[int] = (),
) -> list[Verdict]:
    """Register the devices and metrics that a batch brings, in the caller's transaction; refuse what has no room.

    Rows of gateways are locked nowhere else in a batch, and all at once: those that it will change as well.
    """
    new = _newcomers(directory, enumerate(verdicts))
    if new:
        # Another writer may have registered them, or they were not remembered. Takes no lock.
        directory.look_up(connection, {(n.gateway_code, n.device_code) for n in new.values()})
        # Of all: a device that is gone is gone for those of its messages as well that named nothing new.
        new = _newcomers(directory, enumerate(verdicts))
        verdicts = list(verdicts)
        noted = refused_as_noted(connection, directory.full, list(new.values()))
        for position, obstacle in zip(list(new), noted, strict=True):
            if obstacle is not None:
                verdicts[position] = _refused(obstacle, new.pop(position))
    codes = {newcomer.gateway_code for newcomer in new.values()}
    _lock(connection, directory, codes, also_locked)
    return _register(connection, directory, arrivals, verdicts, codes) if codes else verdicts


def _lock(
    connection: psycopg.Connection[Any], directory: Directory, codes: Collection[str], also_locked: Collection[int]
) -> None:
    """Lock gateways and their tenants, and read them anew: they may have changed since they were remembered."""
    locked: set[int] = set()
    while True:
        gateways = list(_gateways(directory, codes))
        ids = {gateway.id for gateway in gateways}.union(also_locked)
        if ids <= locked:
            return
        # A second time when a code has changed hands meanwhile. If that is a deadlock, it is found and tried again.
        lock(connection, ids - locked, {gateway.tenant_id for gateway in gateways})
        directory.renew(connection, codes)
        locked |= ids


def _register(
    connection: psycopg.Connection[Any],
    directory: Directory,
    arrivals: Sequence[Arrival],
    verdicts: Sequence[Verdict],
    codes: Collection[str],
) -> list[Verdict]:
    """Under the lock, from the database: another writer may have registered meanwhile."""
    # All messages of these gateways again: what was remembered of them may have been wrong.
    judged = [
        _by_gateway(directory, arrival, v) if isinstance(v, Message) and v.gateway_code in codes else v
        for arrival, v in zip(arrivals, verdicts, strict=True)
    ]
    again = [(n, v) for n, v in enumerate(judged) if isinstance(v, Message) and v.gateway_code in codes]
    directory.look_up(connection, {(message.gateway_code, message.device_code) for _, message in again})
    new = _newcomers(directory, again)
    uses = survey(connection, list(new.values()))
    refused = {}
    for position, newcomer in new.items():
        obstacle = plan(newcomer, *uses.of(newcomer))
        if obstacle is not None:
            judged[position] = _refused(obstacle, newcomer)
            refused[newcomer.gateway_code] = newcomer
    register(connection, directory, uses)
    for newcomer in refused.values():
        note(directory.full, newcomer, *uses.of(newcomer))
    return judged


def to_rows(directory: Directory, verdicts: Sequence[Verdict], ledger: Ledger) -> tuple[Rows, dict[int, int]]:
    """The rows of the accepted messages in their order, and {device id: tenant id}; counts them in the ledger."""
    rows = Rows()
    tenant_of: dict[int, int] = {}
    for verdict in verdicts:
        if isinstance(verdict, Message):
            gateway = directory.get(verdict.gateway_code)
            if gateway is None or (device := gateway.device(verdict.device_code)) is None:
                raise LookupError(verdict.gateway_code, verdict.device_code)  # refused or registered before
            tenant = gateway.tenant
            metric_ids = tenant.metric_ids(device.metrics, verdict.pairs)
            if metric_ids is None:
                raise LookupError(verdict.pairs)  # registered before
            tenant_of[device.id] = tenant.id
            rows.add(device.id, metric_ids, verdict.time, [reading.valor for reading in verdict.readings])
            counts = ledger.of(tenant.id)
            counts.accepted += 1
            counts.readings += len(metric_ids)
    return rows, tenant_of


def _newcomers(directory: Directory, verdicts: Iterable[tuple[int, Verdict]]) -> dict[int, Newcomer]:
    """What names a device or metric that is not remembered, by position."""
    new = {}
    for position, verdict in verdicts:
        if isinstance(verdict, Message) and (gateway := directory.get(verdict.gateway_code)) is not None:
            device = gateway.device(verdict.device_code)
            if device is None or gateway.tenant.metric_ids(device.metrics, verdict.pairs) is None:
                new[position] = Newcomer(verdict.gateway_code, gateway, verdict.device_code, verdict.pairs)
    return new


def _gateways(directory: Directory, codes: Iterable[str]) -> Iterable[KnownGateway]:
    for code in codes:
        gateway = directory.get(code)
        if gateway is not None:
            yield gateway


def _refused(obstacle: Obstacle, newcomer: Newcomer) -> Refusal:
    reason = Reason(obstacle.value)
    detail = sentence(reason, gateway=newcomer.gateway_code, device=newcomer.device_code)
    return Refusal(reason, detail, newcomer.gateway_code)


def _refusal(reason: Reason, message: Message) -> Refusal:
    detail = sentence(reason, gateway=message.gateway_code, device=message.device_code)
    return Refusal(reason, detail, message.gateway_code)
