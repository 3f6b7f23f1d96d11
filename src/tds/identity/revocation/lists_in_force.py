"""Whether revocation lists do what they are for: signed, in force on every broker, and not about to run out. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from tds.fleet.counted import counted
from tds.identity.authorities.server_files import LIST_DAYS

WARNING: Final = timedelta(days=7)  # of 30: nobody has signed for three weeks
BEHIND: Final = timedelta(seconds=10)  # a broker takes what is signed within one; so long it may be at it
DAY: Final = timedelta(days=1)


class List(NamedTuple):
    """The newest of an authority."""

    issuer: str
    revision: int
    next_update: datetime


class Broker(NamedTuple):
    name: str
    revision: int
    detail: str


class Verdict(NamedTuple):
    """`well` None: it is, and will not be for ever."""

    well: bool | None
    detail: str
    action: str = ""


def judge(lists: Sequence[List], brokers: Sequence[Broker], refused: int, trouble: str, *, now: datetime) -> Verdict:
    """`refused`: certificates; `trouble`: why the worker can't sign, as it says itself, or empty."""
    if not lists:
        return Verdict(False, trouble or "No revocation list was signed yet.", "See worker: it signs them.")
    first = min(lists, key=lambda each: each.next_update)
    left = (first.next_update - now) // DAY
    if now >= first.next_update:
        detail = f"The list of {first.issuer} ran out at {first.next_update:%Y-%m-%d %H:%M} UTC; no gateway is let in."
        return Verdict(False, f"{detail} {trouble}".rstrip(), "See worker: it signs one each day.")
    if behind := [broker for broker in brokers if broker.detail or _is_behind(broker, lists, now)]:
        told = " ".join(f"{broker.name}: {broker.detail or 'it is behind.'}" for broker in behind)
        return Verdict(False, f"Who was put out of late may still get in. {told}", "See agent, and log/agent.log.")
    if trouble or left < WARNING // DAY:
        when = f"in {counted(left, 'day')}"
        detail = f"The list of {first.issuer} runs out {when}, and then brokers let no gateway in. {trouble}"
        return Verdict(None, detail.rstrip(), "See worker: it signs one each day, with the key in TDS_CA_DIR.")
    revision = max(each.revision for each in lists)
    on = f"on {', '.join(broker.name for broker in brokers)}" if brokers else "on no broker"
    certificates = counted(refused, "certificate is", "certificates are")
    held = f"revision {revision} is in force {on}, for {counted(left, 'day')}."
    return Verdict(True, f"{certificates} refused: {held}")


def _is_behind(broker: Broker, lists: Sequence[List], now: datetime) -> bool:
    newer = [each for each in lists if each.revision > broker.revision]
    return any(now - (each.next_update - LIST_DAYS * DAY) > BEHIND for each in newer)
