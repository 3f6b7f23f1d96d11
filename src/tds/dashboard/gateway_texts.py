"""What a gateway's page says of its certificates, of the brokers, and of what was done, in the reader's language."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, assert_never
from zoneinfo import ZoneInfo

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _

from tds.dashboard.gateway_facts import GOOD, QUIET, WARN
from tds.fleet import audit
from tds.fleet.models import AuditEntry, GatewayStatus
from tds.identity.issued.expiry import End, end_of
from tds.identity.models import Certificate, How
from tds.identity.revocation.taken import Stage, Taken
from tds.updates.executions.delivery import Checked
from tds.updates.rollouts.checking import OUTCOME

MAX_DETAIL_CHARS: Final = 100  # of a value in the audit trail
TENTHS_BELOW: Final = timedelta(seconds=10)


def reached(how_far: Taken, *, admitted: bool) -> str:
    """How far the brokers have taken in that the gateway is refused, or let in again."""
    match how_far.stage:
        case Stage.NO_CERTIFICATE:
            return _("It has no certificate that could let it in.")
        case Stage.SIGNING:
            return _("Waiting for the worker, which signs the revocation list…")
        case Stage.SPREADING:
            return _("Waiting for %(brokers)s, to take in the revocation list…") % {
                "brokers": ", ".join(how_far.behind)
            }
        case Stage.NO_BROKER:
            return _("No broker has said yet that it takes revocation lists; tell whoever runs the platform.")
        case Stage.DONE:
            return _admitted(how_far.after) if admitted else _refused(how_far.after)
        case _:
            assert_never(how_far.stage)


def _refused(after: timedelta | None) -> str:
    if after is None:
        return _("The brokers refuse it.")
    return _("Cut off after %(seconds)s s; the brokers refuse it.") % {"seconds": _seconds(after)}


def _admitted(after: timedelta | None) -> str:
    if after is None:
        return _("The brokers let it in.")
    return _("The brokers let it in again, after %(seconds)s s.") % {"seconds": _seconds(after)}


def _seconds(length: timedelta) -> str:
    places = 1 if length < TENTHS_BELOW else 0
    return number_format(round(length.total_seconds(), places), decimal_pos=places, use_l10n=True)


def state(certificate: Certificate, trusted: Collection[str], *, now: datetime) -> tuple[str, str]:
    """What can be done with it now, and how that is marked. `trusted`: the authorities; empty when nobody knows."""
    if certificate.revoked_at is not None:
        return _("revoked"), WARN
    if trusted and certificate.issuer not in trusted:
        return _("authority not trusted any more"), WARN
    if now < certificate.not_before:
        return _("not valid yet"), WARN
    match end_of(certificate.not_after, now=now):
        case End.OVER:
            return _("ran out"), QUIET
        case End.NEAR:
            return _("runs out soon"), WARN
        case _:
            return _("valid"), GOOD


def actor(entry: AuditEntry) -> str:
    """Who did it: a person's name, or what it was instead of one."""
    words = {audit.COMMAND_LINE: _("command line"), audit.THE_GATEWAY: _("the gateway itself")}
    return entry.actor if entry.actor_id is not None else words.get(entry.actor, entry.actor)


def detail(found: dict[str, Any], zone: ZoneInfo) -> list[tuple[str, str]]:
    """The facts of an audit entry: what each is called, and its value. What is not known here stays as it is."""
    names = {
        "before": _("before"),
        "how": _("given by"),
        "serial": _("serial number"),
        "reason": _("reason"),
        "tags": _("tags"),
        OUTCOME: _("outcome"),
        "begins_with": _("begins with"),
        "claim_code": _("claim code, begins with"),
        "presented": _("certificate presented"),
        "although_not_cut": _("although brokers may still let the former owner's gateway in"),
        "expires_at": _("good until"),
    }
    words = {str(choice.value): str(choice.label) for choices in (GatewayStatus, How) for choice in choices}
    shown = []
    order = {name: place for place, name in enumerate(names)}  # JSON keeps none
    for key, value in sorted(found.items(), key=lambda item: order.get(item[0], len(order))):
        text = str(value)
        if key.endswith("_at"):
            text = _moment(text, zone)
        elif key in {"before", "how"}:
            text = words.get(text, text)
        elif key == OUTCOME:
            text = _checked().get(text, text)
        shown.append((names.get(key, key), text[:MAX_DETAIL_CHARS]))
    return shown


def _checked() -> dict[str, str]:
    """What came of it that a person asked for a gateway's update."""
    return {
        Checked.TOLD: _("told of its update"),
        Checked.UNDER_WAY: _("at its update already"),
        Checked.WAITS: _("its turn has not come"),
        Checked.NOTHING: _("no update for it"),
    }


def _moment(text: str, zone: ZoneInfo) -> str:
    try:
        return date_format(datetime.fromisoformat(text).astimezone(zone), "SHORT_DATETIME_FORMAT", use_l10n=True)
    except ValueError:
        return text
