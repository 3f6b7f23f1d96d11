"""What was refused: who sends it, and how full the quarantine is."""

import shlex
from typing import Final

from django.db import Error as DatabaseError
from django.utils import timezone

from tds import wiring
from tds.ingest import loud_senders
from tds.ingest.loud_senders import Loud
from tds.ingest.quarantined import counts
from tds.status.part import Part, State

QUARANTINE_NEARLY_FULL: Final = 0.9  # of its messages or bytes; at 1 it lets a part of the fullest go


def examine_quarantine(*, database_there: bool) -> Part:
    """Never unhealthy: the platform does what it should, and somebody should look at a gateway."""
    away = Part("quarantine", State.WARNING, "Unknown: the database is away.", "See database.")
    if not database_there:
        return away
    bounds, now = wiring.quarantine_bounds(), timezone.now()
    try:
        gateways = loud_senders.loud_gateways(counts(), bounds, now=now)
        strangers = loud_senders.loud_strangers(bounds, now=now)
        taken = loud_senders.room_taken(bounds)
    except DatabaseError:
        return away
    found = sorted([*gateways, *strangers], key=lambda loud: -loud.messages)
    if found:
        return Part("quarantine", State.WARNING, _told_loud(found), _to_look_at(found[0]))
    if taken > QUARANTINE_NEARLY_FULL:
        detail = f"{taken:.0%} full with messages of many senders; beyond, each new one pushes an older one out."
        action = "See who sends them: ./tds quarantine list; make room with ./tds quarantine purge."
        return Part("quarantine", State.WARNING, detail, action)
    limit = loud_senders.loud_from(bounds)
    detail = f"{taken:.0%} full; no gateway had {limit} messages or more refused in the last 24 hours."
    return Part("quarantine", State.HEALTHY, detail)


def _told_loud(found: list[Loud]) -> str:
    worst, *others = found
    code = worst.gateway_code if worst.gateway_code.isprintable() else ascii(worst.gateway_code)
    who = {
        (True, True): f"Gateway {code} of {worst.tenant}",
        (True, False): f"Gateway {code}, which nobody registered,",
        (False, True): f"Somebody with a token of {worst.tenant}, without a gateway's code,",
        (False, False): "Unknown gateways, under many codes or none,",
    }[bool(code), bool(worst.tenant)]
    more = f" {len(others)} more did as well." if others else ""
    return (
        f"{who} sent at least {worst.messages:,} messages in the last 24 hours that were refused, "
        f"most of them as {worst.reason}.{more}"
    )


def _to_look_at(worst: Loud) -> str:
    """With a line for the shell: an unknown code is whatever somebody sent."""
    code = worst.gateway_code
    choice = f"--gateway {shlex.quote(code)}" if code and code.isprintable() else f"--tenant {worst.tenant or '-'}"
    return f"Look at them with ./tds quarantine list {choice} and correct or disable what sends them."
