"""Whether a code may go to another tenant: only when no broker can let the former one's gateway in any more.

Topics have no tenant in them. A session of the former gateway that is not cut yet would publish as the new owner's, and
so would a connection that was opened before the cut and says CONNECT after it (access/held_back.py). Both are waited
for. One that says it byte by byte can be waited for by nobody: what comes in so is cut in its turn
(access/slow_round.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from tds.fleet.models import Gateway, GatewayStatus
from tds.identity.models import BrokerAccess, Certificate, RevocationList
from tds.identity.revocation.in_force import LISTED_AFTER_END, NO_AGENT, NOT_SIGNED, NOT_TAKEN

SETTLING: Final = "it waits out connections that were opened before, for up to 100 s"


class HandoverRefusedError(Exception):
    """This code can't go to this tenant yet; the text is a sentence."""


class Held(NamedTuple):
    """A certificate of the former gateway, which is retired."""

    issuer: str
    listed_in: int | None


class Broker(NamedTuple):
    """See BrokerAccess."""

    name: str
    settled: int
    as_of: datetime
    detail: str


def in_the_way(held: Iterable[Held], retired_at: datetime, trusted: Iterable[str], brokers: Sequence[Broker]) -> str:
    """Who has still to act on the end of a gateway, as the end of a sentence; empty when its code is free. Pure.

    `trusted` names the authorities that have a list; empty: none was signed yet, and none is missed.
    """
    known = frozenset(trusted)
    counting = [each for each in held if each.listed_in is not None or not known or each.issuer in known]
    if any(each.listed_in is None for each in counting):
        return NOT_SIGNED
    if counting and not brokers:
        return NO_AGENT
    wanted = max((each.listed_in or 0 for each in counting), default=0)
    waiting = []
    for broker in brokers:
        if broker.settled < wanted:
            waiting.append(f"{broker.name}: {broker.detail.rstrip('.') or SETTLING}")
        elif broker.as_of < retired_at:  # passwords are in no list
            waiting.append(f"{broker.name}: {broker.detail.rstrip('.') or NOT_TAKEN}")
    return ", ".join(waiting)


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
    trusted = list(RevocationList.objects.values_list("issuer", flat=True))
    brokers = [Broker(*row) for row in BrokerAccess.objects.values_list("broker", "settled", "as_of", "detail")]
    found = {}
    for pk, code, at in former:
        if trouble := in_the_way(held[pk], at, trusted, brokers):
            found[code] = (
                f"{code} was another tenant's gateway until {at:%Y-%m-%d %H:%M:%S} UTC, and brokers may still let that "
                f"one in ({trouble}). Try again in two minutes."
            )
    return found


def check(code: str, tenant_id: int, *, now: datetime) -> None:
    """Call it before a code is registered for a tenant. Raises HandoverRefusedError."""
    for sentence in obstacles({code: tenant_id}, now=now).values():
        raise HandoverRefusedError(sentence)
