"""What a link or the form of the gateways' page asks for. What can't be understood is refused: it never means "all"."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from tds.dashboard.errors import NotUnderstoodError
from tds.devicelink import fleet_health
from tds.devicelink.health import Session
from tds.devicelink.judged import NO_TROUBLE
from tds.fleet import tag_names, tags
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
    CONNECTED = "com-sessao"
    NOT_CONNECTED = "sem-sessao"
    UNCERTAIN = "incerto"
    UNSAID = "nao-diz"
    NEVER = "nunca-visto"
    SILENT = "mudo"
    WRONG_TIME = "relogio"
    ENDING = "vence"
    ENDED = "vencido"
    WITHOUT_CERTIFICATE = "sem-certificado"
    RETAINED = "retida"


@dataclass(frozen=True, slots=True)
class Choice:
    """`site` and `tag` are nobody's when they are another tenant's; `page` counts from 1."""

    text: str = ""
    state: State = State.IN_USE
    site: int | None = None
    tag: str = ""
    page: int = 1

    @property
    def narrows(self) -> bool:
        return bool(self.text or self.state or self.site or self.tag)

    def of(self, gateways: "QuerySet[Gateway]", *, now: datetime) -> "QuerySet[Gateway]":
        if self.state in BY_HEALTH:
            gateways = fleet_health.find(gateways, now=now).filter(BY_HEALTH[self.state])
        chosen = gateways.filter(_by_state(self.state, now))
        if self.site is not None:
            chosen = chosen.filter(site=self.site)
        if self.tag:
            chosen = chosen.filter(tags.having([self.tag]))
        if self.text:
            chosen = chosen.filter(Q(code__icontains=self.text) | Q(name__icontains=self.text))
        return chosen


# By the same rule as the facts that are shown of each gateway.
BY_HEALTH: Final = {
    State.CONNECTED: Q(session=Session.CONNECTED),
    State.NOT_CONNECTED: Q(session=Session.NOT_CONNECTED),
    State.UNCERTAIN: Q(session=Session.UNCERTAIN),
    State.UNSAID: Q(session=Session.UNSAID),
    State.NEVER: Q(session=Session.NEVER),
    State.SILENT: Q(silent=True),
    State.WRONG_TIME: ~Q(clock=NO_TROUBLE),
}


def read(values: Any) -> Choice:
    """Raises NotUnderstoodError."""
    text = values.get("busca", "").strip()
    if "\x00" in text or len(text) > MAX_TEXT_CHARS:
        raise NotUnderstoodError(_("Search for a part of a code or a name, at most 64 characters."))
    state = values.get("estado", "")
    if state not in set(State):
        raise NotUnderstoodError(_("There is no such state; choose one of the list."))
    site = _number(values.get("local", ""), MAX_ID_DIGITS)
    tag = values.get("etiqueta", "").strip()
    if tag and tag_names.name_of(tag) is None:
        raise NotUnderstoodError(_("No tag can be called so; choose one of the list."))
    page = _number(values.get("pagina", "") or "1", len(str(MAX_PAGE)))
    if site == 0 or page is None or not 1 <= page <= MAX_PAGE:
        raise NotUnderstoodError(_("A page or a site is a number above 0."))
    return Choice(text, State(state), site, tag, page)


def query(choice: Choice, page: int | None = None) -> str:
    """What `read` reads, for a link."""
    parts = {
        "busca": choice.text,
        "estado": str(choice.state),
        "local": "" if choice.site is None else str(choice.site),
        "etiqueta": choice.tag,
        "pagina": str(page) if page and page > 1 else "",
    }
    return urlencode({name: value for name, value in parts.items() if value})


def state_labels() -> list[tuple[State, str]]:
    return [
        (State.IN_USE, _("All in use")),
        (State.ACTIVE, _("Active")),
        (State.DISABLED, _("Disabled")),
        (State.CONNECTED, _("Connected")),
        (State.NOT_CONNECTED, _("Not connected")),
        (State.UNCERTAIN, _("Whether connected is not known")),
        (State.UNSAID, _("Never said whether connected")),
        (State.NEVER, _("Never seen")),
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
    of_state = {
        State.IN_USE: Q(),
        State.ACTIVE: active,
        State.DISABLED: Q(status=GatewayStatus.DISABLED),
        State.ENDING: active & lasting & ~Q(Exists(usable.filter(not_after__gt=expiry.horizon(now)))),
        State.ENDED: active & Q(Exists(usable)) & ~lasting,
        State.WITHOUT_CERTIFICATE: ~Q(Exists(usable)),
        State.RETAINED: Q(retained_seen_at__isnull=False),
    }
    return ~Q(status=GatewayStatus.RETIRED) & of_state.get(state, Q())


def is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_ID_DIGITS


def _number(text: str, max_digits: int) -> int | None:
    if not text:
        return None
    return int(text) if is_id(text) and len(text) <= max_digits else 0
