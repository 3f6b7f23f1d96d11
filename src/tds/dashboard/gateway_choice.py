"""What a link or the form of the gateways' page asks for. What can't be understood is refused: it never means "all"."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Greatest
from django.db.models.lookups import LessThan
from django.utils.translation import gettext as _

from tds.dashboard.errors import NotUnderstoodError
from tds.devicelink.health import CLOCK_OFF, SILENT_AFTER
from tds.fleet.models import Gateway, GatewayStatus
from tds.identity.issued import expiry, given

MAX_TEXT_CHARS: Final = 64
MAX_PAGE: Final = 100_000
MAX_ID_DIGITS: Final = 18  # all of them fit into a bigint


class State(StrEnum):
    """What to look for, in the words of the address."""

    IN_USE = ""  # all that are not retired
    ACTIVE = "ativo"
    DISABLED = "desativado"
    RETIRED = "aposentado"
    NOT_CONNECTED = "sem-sessao"
    SILENT = "mudo"
    WRONG_TIME = "relogio"
    ENDING = "vence"
    ENDED = "vencido"
    WITHOUT_CERTIFICATE = "sem-certificado"
    RETAINED = "retida"


@dataclass(frozen=True, slots=True)
class Choice:
    """`site`: an id, which is nobody's when it is another tenant's; `page` counts from 1."""

    text: str = ""
    state: State = State.IN_USE
    site: int | None = None
    page: int = 1

    @property
    def narrows(self) -> bool:
        return bool(self.text or self.state or self.site)

    def of(self, gateways: "QuerySet[Gateway]", *, now: datetime) -> "QuerySet[Gateway]":
        chosen = gateways.filter(_by_state(self.state, now))
        if self.site is not None:
            chosen = chosen.filter(site=self.site)
        if self.text:
            chosen = chosen.filter(Q(code__icontains=self.text) | Q(name__icontains=self.text))
        return chosen


def read(values: Any) -> Choice:
    """Raises NotUnderstoodError."""
    text = values.get("busca", "").strip()
    if "\x00" in text or len(text) > MAX_TEXT_CHARS:
        raise NotUnderstoodError(_("Search for a part of a code or a name, at most 64 characters."))
    state = values.get("estado", "")
    if state not in set(State):
        raise NotUnderstoodError(_("There is no such state; choose one of the list."))
    site = _number(values.get("local", ""), MAX_ID_DIGITS)
    page = _number(values.get("pagina", "") or "1", len(str(MAX_PAGE)))
    if site == 0 or page is None or not 1 <= page <= MAX_PAGE:
        raise NotUnderstoodError(_("A page or a site is a number above 0."))
    return Choice(text, State(state), site, page)


def query(choice: Choice, page: int | None = None) -> str:
    """What `read` reads, for a link."""
    parts = {
        "busca": choice.text,
        "estado": str(choice.state),
        "local": "" if choice.site is None else str(choice.site),
        "pagina": str(page) if page and page > 1 else "",
    }
    return urlencode({name: value for name, value in parts.items() if value})


def state_labels() -> list[tuple[State, str]]:
    return [
        (State.IN_USE, _("All in use")),
        (State.ACTIVE, _("Active")),
        (State.DISABLED, _("Disabled")),
        (State.NOT_CONNECTED, _("Not connected")),
        (State.SILENT, _("Connected, but silent")),
        (State.WRONG_TIME, _("Clock wrong, or old readings")),
        (State.ENDING, _("Certificate runs out within 30 days")),
        (State.ENDED, _("Certificate ran out")),
        (State.WITHOUT_CERTIFICATE, _("No certificate")),
        (State.RETAINED, _("Sent a retained message")),
        (State.RETIRED, _("Retired")),
    ]


def _by_state(state: State, now: datetime) -> Q:
    if state is State.RETIRED:
        return Q(status=GatewayStatus.RETIRED)
    usable = given.usable().filter(gateway=OuterRef("pk"))
    lasting = Q(Exists(usable.filter(not_after__gte=now)))
    active = Q(status=GatewayStatus.ACTIVE)  # the others are let in by no certificate
    heard_at = Greatest("presence__changed_at", "last_seen_at")  # the later of those that there are
    of_state = {
        State.IN_USE: Q(),
        State.ACTIVE: active,
        State.DISABLED: Q(status=GatewayStatus.DISABLED),
        State.NOT_CONNECTED: Q(presence__online=False),
        State.SILENT: Q(presence__online=True) & Q(LessThan(heard_at, now - SILENT_AFTER)),
        State.WRONG_TIME: _wrong_time(),
        State.ENDING: active & lasting & ~Q(Exists(usable.filter(not_after__gt=expiry.horizon(now)))),
        State.ENDED: active & Q(Exists(usable)) & ~lasting,
        State.WITHOUT_CERTIFICATE: ~Q(Exists(usable)),
        State.RETAINED: Q(retained_seen_at__isnull=False),
    }[state]
    return ~Q(status=GatewayStatus.RETIRED) & of_state


def _wrong_time() -> Q:
    """As `devicelink/health.py` judges it: by the times in its last messages, or by what it said as it connected."""
    sent_ahead = Q(dated_at__gt=F("last_seen_at") + CLOCK_OFF) | Q(dated_at__lt=F("last_seen_at") - CLOCK_OFF)
    said_last = Q(presence__clock_at__gte=F("last_seen_at")) | Q(last_seen_at=None) | Q(dated_at=None)
    said_off = Q(presence__clock_ahead__gt=CLOCK_OFF) | Q(presence__clock_ahead__lt=-CLOCK_OFF)
    return (sent_ahead & ~said_last) | (said_off & said_last)


def is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_ID_DIGITS


def _number(text: str, max_digits: int) -> int | None:
    if not text:
        return None
    return int(text) if is_id(text) and len(text) <= max_digits else 0
