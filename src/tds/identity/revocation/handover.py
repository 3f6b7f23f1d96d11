"""Whether a code may go to another tenant: only when no broker can let the former one's gateway in any more.

Topics have no tenant in them. A session of the former gateway that is not cut yet would publish as the new owner's, and
so would a connection that was opened before the cut and says CONNECT after it (access/held_back.py). Both are waited
for. One that says it byte by byte can be waited for by nobody: what comes in so is cut in its turn
(access/slow_round.py).

Brokers of somebody else (TDS_MQTT_URLS) have no agent of ours, and one of ours may be lost for good: then a person says
that the former gateway is out, or that it does not matter, and that is written down.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.conf import settings

from tds.fleet import audit
from tds.fleet.models import AuditAction, AuditEntry, Gateway, GatewayStatus
from tds.identity.access.reached import NEVER
from tds.identity.models import BrokerAccess, Certificate, RevocationList
from tds.identity.revocation.in_force import LISTED_AFTER_END, NO_AGENT, NOT_SIGNED

SETTLING: Final = "it waits out connections that were opened before, for up to 100 s"
LOOKS_AGAIN: Final = "its agent is yet to look once more, half a minute after the end"
TAKES_IN: Final = "its agent is at work on it"
LOOKED_LAST: Final = "its agent was through with its work for the last time {ago} ago; see that it runs: ./tds status"
NEVER_LOOKED: Final = "its agent was never through with its work; see that it runs: ./tds status"
OWN_BROKERS: Final = (
    "brokers of TDS_MQTT_URLS have no agent of ours: to refuse its certificates and to end its session there is for "
    "whoever runs them"
)
FRESH: Final = timedelta(minutes=1)  # an agent that is well is through with its work each 10 s
SOON: Final = timedelta(minutes=2)  # what the others need, who are well
# The word is written down before its transaction commits: by an agent's look it counts when that came so much later.
COMMITS_WITHIN: Final = timedelta(seconds=30)
ALTHOUGH: Final = "--although-not-cut"


class HandoverRefusedError(Exception):
    """This code can't go to this tenant yet; the text is a sentence."""


class Held(NamedTuple):
    """A certificate of the former gateway, which is retired."""

    issuer: str
    listed_in: int | None


class Broker(NamedTuple):
    """See BrokerAccess."""

    name: str
    revision: int
    settled: int
    as_of: datetime
    detail: str


class InTheWay(NamedTuple):
    """Who has still to act, as the end of a sentence; `passes`: when all do their work that is over soon."""

    text: str = ""
    passes: bool = True

    def __bool__(self) -> bool:
        return bool(self.text)


def in_the_way(  # noqa: PLR0913  # all that is known
    held: Iterable[Held],
    retired_at: datetime,
    trusted: Iterable[str],
    brokers: Sequence[Broker],
    *,
    now: datetime,
    own_brokers: bool = False,
) -> InTheWay:
    """Of the end of a gateway; empty when its code is free. Pure.

    `trusted` names the authorities that have a list; empty: none was signed yet, and none is missed. `own_brokers`:
    those of somebody else are in use; rows of `brokers` may be of private ones that are gone since, or of another
    machine's that are the very same.
    """
    if own_brokers and not any(_is_fresh(broker, now) for broker in brokers):
        return InTheWay(OWN_BROKERS, passes=False)
    known = frozenset(trusted)
    counting = [each for each in held if each.listed_in is not None or not known or each.issuer in known]
    if any(each.listed_in is None for each in counting):
        return InTheWay(NOT_SIGNED, passes=now - retired_at < SOON)
    if not brokers:
        return InTheWay(NO_AGENT, passes=False) if counting else InTheWay()
    wanted = max((each.listed_in or 0 for each in counting), default=None)
    waiting = [
        (broker.name, why) for broker in brokers if (why := _not_yet(broker, wanted, retired_at + COMMITS_WITHIN, now))
    ]
    text = ", ".join(f"{name}: {why.text}" for name, why in waiting)
    return InTheWay(text, passes=all(why.passes for _name, why in waiting))


def _not_yet(broker: Broker, wanted: int | None, since: datetime, now: datetime) -> InTheWay:
    """`wanted`: a list's revision; None: what let it in, as a password, is on no list. `since`: of an agent's look."""
    settled = wanted is None or broker.settled >= wanted
    # Passwords are on no list, also of who had a certificate beside.
    if settled and broker.as_of >= since and not (wanted is None and broker.detail):
        return InTheWay()
    if broker.detail:
        return InTheWay(broker.detail.rstrip("."), passes=False)
    if broker.as_of <= NEVER:
        return InTheWay(NEVER_LOOKED, passes=False)
    fresh = _is_fresh(broker, now)
    if fresh and settled:
        return InTheWay(LOOKS_AGAIN)
    if fresh:
        return InTheWay(SETTLING if wanted is not None and broker.revision >= wanted else TAKES_IN)
    return InTheWay(LOOKED_LAST.format(ago=_span(now - broker.as_of)), passes=False)


def _is_fresh(broker: Broker, now: datetime) -> bool:
    return now - broker.as_of < FRESH


def _span(long: timedelta) -> str:
    seconds = max(0, round(long.total_seconds()))
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def obstacles(wanted: Mapping[str, int], *, now: datetime) -> dict[str, str]:
    """Of codes, each with the id of the tenant that is to have it: a sentence for each that is not free yet."""
    retired = Gateway.objects.filter(code__in=list(wanted), status=GatewayStatus.RETIRED)
    rows = retired.order_by("pk").values_list("pk", "code", "tenant_id", "retired_at")
    former = [(pk, code, at) for pk, code, tenant_id, at in rows if tenant_id != wanted[code] and at is not None]
    if not former:
        return {}
    held: dict[int, list[Held]] = {pk: [] for pk, _code, _at in former}
    good = Certificate.objects.filter(gateway__in=held, not_after__gt=now - LISTED_AFTER_END).order_by()
    for pk, issuer, listed_in in good.values_list("gateway", "issuer", "listed_in"):
        held[pk].append(Held(issuer, listed_in))
    # By the database's clock, which agents go by; `retired_at` is by that of whoever did it, from before it.
    entries = AuditEntry.objects.filter(action=AuditAction.RETIRED, object_kind=audit.GATEWAY, object_id__in=held)
    noted = dict(entries.order_by("id").values_list("object_id", "at"))
    trusted = list(RevocationList.objects.values_list("issuer", flat=True))
    rows_of_brokers = BrokerAccess.objects.values_list("broker", "revision", "settled", "as_of", "detail")
    brokers = [Broker(*row) for row in rows_of_brokers]
    own = settings.ENV.mqtt_urls_given
    found = {}
    for pk, code, at in former:
        way = in_the_way(held[pk], noted.get(pk, at), trusted, brokers, now=now, own_brokers=own)
        if way:
            found[code] = (
                f"{code} was another tenant's gateway until {at:%Y-%m-%d %H:%M:%S} UTC, and brokers may still let that "
                f"one in ({way.text}). {_what_to_do(code, way)}"
            )
    return found


def _what_to_do(code: str, way: InTheWay) -> str:
    if way.passes:
        return "Try again in two minutes."
    return (
        "Waiting does not end that. If you know that its former gateway is out, or that it sends nothing: "
        f"./tds gateway add {code} --tenant SLUG {ALTHOUGH}"
    )


def check(code: str, tenant_id: int, *, now: datetime) -> None:
    """Call it before a code is registered for a tenant. Raises HandoverRefusedError."""
    for sentence in obstacles({code: tenant_id}, now=now).values():
        raise HandoverRefusedError(sentence)
