"""What is said of certificates that run out, and what to do. Pure; in English, as on the command line."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from tds.fleet.counted import counted
from tds.identity.authorities.own_certificates import SERVER, Own
from tds.identity.issued.expiry import AUTHORITY_WARNING, WARNING, End, Outlook, Worry, end_of

MAX_NAMED: Final = 3  # gateways in a sentence; the page lists them all
ROOT: Final = "root"
RENEW: Final = "They renew by themselves while they are on and reach port 8070; see to those that don't."
CLAIM: Final = "Give each a claim code (./tds claim add CODE), with which it fetches a certificate."
NEW_SERVER: Final = "Restart ./tds up, which makes a new one."
NEW_ROOT: Final = "Make a new one in time: every gateway must have learnt it by an update before then."


class Finding(NamedTuple):
    """`urgent`: something does not work. Otherwise it works, and will not go on for ever."""

    urgent: bool
    detail: str
    action: str


def findings(own: Sequence[Own], gateways: Outlook, *, now: datetime) -> list[Finding]:
    """The urgent ones first; none when all is well."""
    found = [
        *(finding for each in in_use(own) if (finding := _of_own(each, now))),
        *_of_gateways(gateways),
    ]
    return sorted(found, key=lambda finding: not finding.urgent)


def well(own: Sequence[Own]) -> str:
    """What is said when there are no findings."""
    ends = ", ".join(f"{each.name} until {_day(each.ends_at)}" for each in in_use(own))
    ours = f"Our own: {ends}." if ends else "This machine holds none of its own."
    return f"No gateway's certificate runs out within {WARNING.days} days. {ours}"


def in_use(own: Sequence[Own]) -> list[Own]:
    """Without authorities that have a successor: these only see their overlap out."""
    newest: dict[str, Own] = {}
    for each in own:
        kind, _, number = each.name.rpartition("-")
        before = newest.get(kind or each.name)
        if before is None or _number(number) > _number(before.name.rpartition("-")[2]):
            newest[kind or each.name] = each
    return list(newest.values())


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


def _of_own(own: Own, now: datetime) -> Finding | None:
    warning = WARNING if own.name == SERVER else AUTHORITY_WARNING
    end = end_of(own.ends_at, now=now, warning=warning)
    if end not in {End.NEAR, End.OVER}:
        return None
    kind = own.name.rpartition("-")[0]
    action = NEW_SERVER if own.name == SERVER else NEW_ROOT if own.name == ROOT else f"Run ./tds ca rotate {kind}."
    what = "The server certificate" if own.name == SERVER else f"The authority {own.name}"
    if end is End.OVER:
        return Finding(urgent=True, detail=f"{what} ran out on {_day(own.ends_at)}: no gateway gets in.", action=action)
    return Finding(urgent=False, detail=f"{what} runs out on {_day(own.ends_at)}.", action=action)


def _of_gateways(gateways: Outlook) -> list[Finding]:
    found = []
    if gateways.over:
        detail = f"The certificate ran out of {_told(gateways.over)}"
        found.append(Finding(urgent=False, detail=detail, action=CLAIM))
    if gateways.left_behind:
        count = counted(len(gateways.left_behind), "gateway")
        detail = f"The authority is not trusted any more that certified {count}: {_named(gateways.left_behind)}"
        found.append(Finding(urgent=False, detail=detail, action=CLAIM))
    if gateways.near:
        detail = f"The certificate runs out within {WARNING.days} days of {_told(gateways.near)}"
        found.append(Finding(urgent=False, detail=detail, action=RENEW))
    return found


def _told(worries: Sequence[Worry]) -> str:
    named = _named([f"{worry.gateway_code} ({_day(worry.ends_at)})" for worry in worries])
    return f"{counted(len(worries), 'gateway')}: {named}"


def _named(texts: Sequence[str]) -> str:
    return ", ".join(texts[:MAX_NAMED]) + (" …" if len(texts) > MAX_NAMED else ".")


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
