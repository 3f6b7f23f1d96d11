"""From messages to rows: whose gateway, which device, which metric; and the rules that only the database can judge."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from tds.fleet.directory import Directory, KnownGateway
from tds.fleet.registration import Newcomer, lock, plan, register, tenant_metrics
from tds.ingest.ledger import Ledger
from tds.ingest.messages import Message, Refusal
from tds.ingest.reasons import Reason, sentence
from tds.readings.store import Rows

Verdict = Message | Refusal


def learn_gateways(connection: psycopg.Connection[Any], directory: Directory, verdicts: Sequence[Verdict]) -> None:
    """Make the directory know every gateway that a batch names."""
    codes = {verdict.gateway_code for verdict in verdicts}
    directory.learn(connection, (code for code in codes if code is not None))


def refuse_by_gateway(directory: Directory, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts, with messages of unknown, disabled and former gateways refused."""
    judged: list[Verdict] = []
    for verdict in verdicts:
        if isinstance(verdict, Message):
            gateway = directory.get(verdict.gateway_code)
            if gateway is None:
                judged.append(_refusal(Reason.UNKNOWN_GATEWAY, verdict))
                continue
            if not gateway.active:
                judged.append(_refusal(Reason.GATEWAY_DISABLED, verdict))
                continue
            if gateway.former_until is not None and verdict.time < gateway.former_until:
                judged.append(_refusal(Reason.PREVIOUS_OWNER, verdict))
                continue
        judged.append(verdict)
    return judged


def register_newcomers(
    connection: psycopg.Connection[Any], directory: Directory, verdicts: list[Verdict]
) -> list[Verdict]:
    """Register the devices and metrics that a batch brings, in the caller's transaction; refuse what has no room."""
    codes = {v.gateway_code for v in verdicts if isinstance(v, Message) and _is_new(directory, v)}
    if not codes:
        return verdicts
    known = list(_gateways(directory, codes))
    lock(connection, (g.id for g in known), (g.tenant_id for g in known))
    # Under the lock, from the database: another writer may have registered meanwhile.
    directory.renew(connection, codes)
    gateways = {gateway.code: gateway for gateway in _gateways(directory, codes)}
    metrics = tenant_metrics(connection, (g.tenant_id for g in gateways.values()))
    # All messages of these gateways again: what was remembered of them may have been wrong.
    judged = [refuse_by_gateway(directory, [v])[0] if v.gateway_code in codes else v for v in verdicts]
    for n, message in enumerate(judged):
        if isinstance(message, Message) and message.gateway_code in codes and _is_new(directory, message):
            gateway = gateways[message.gateway_code]
            obstacle = plan(Newcomer(gateway, message.device_code, message.pairs), metrics[gateway.tenant_id])
            if obstacle is not None:
                judged[n] = _refusal(Reason(obstacle.value), message)
    register(connection, gateways.values(), metrics)
    return judged


def to_rows(directory: Directory, verdicts: Sequence[Verdict], ledger: Ledger) -> tuple[Rows, dict[int, int]]:
    """The rows of the accepted messages in their order, and {device id: tenant id}; counts them in the ledger."""
    rows = Rows()
    tenant_of: dict[int, int] = {}
    for verdict in verdicts:
        if isinstance(verdict, Message):
            gateway = directory.get(verdict.gateway_code)
            if gateway is None:
                raise LookupError(verdict.gateway_code)  # refused before
            device = gateway.devices[verdict.device_code]
            tenant_of[device.id] = gateway.tenant_id
            metric_ids = device.metric_ids(verdict.pairs)
            if metric_ids is None:
                raise LookupError(verdict.pairs)  # registered before
            rows.add(device.id, metric_ids, verdict.time, [reading.valor for reading in verdict.readings])
            counts = ledger.of(gateway.tenant_id)
            counts.accepted += 1
            counts.readings += len(metric_ids)
    return rows, tenant_of


def _is_new(directory: Directory, message: Message) -> bool:
    gateway = directory.get(message.gateway_code)
    device = gateway.devices.get(message.device_code) if gateway else None
    return device is None or device.metric_ids(message.pairs) is None


def _gateways(directory: Directory, codes: Iterable[str]) -> Iterable[KnownGateway]:
    for code in codes:
        gateway = directory.get(code)
        if gateway is not None:
            yield gateway


def _refusal(reason: Reason, message: Message) -> Refusal:
    detail = sentence(reason, gateway=message.gateway_code, device=message.device_code)
    return Refusal(reason, detail, message.gateway_code)
