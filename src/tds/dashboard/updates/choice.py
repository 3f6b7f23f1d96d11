"""Which rows of a rollout a link asks for. What can't be understood is refused: it never means "all"."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from tds.dashboard.errors import NotUnderstoodError
from tds.updates.executions.statuses import Status
from tds.updates.models import Execution
from tds.updates.rollouts.counts import Counts

MAX_PAGE: Final = 100_000
MAX_WAVE: Final = 1_000
MAX_TEXT_CHARS: Final = 64


class State(StrEnum):
    """What to look for, in the words of the address."""

    ALL = ""
    WAITING = "esperando"
    UNDER_WAY = "andamento"
    SUCCEEDED = "concluido"
    FAILED = "falhou"
    REFUSED = "recusado"
    ENDED = "encerrado"


BY_STATE: Final = {
    State.ALL: Q(),
    State.WAITING: Q(status=Status.QUEUED),
    State.UNDER_WAY: Q(status=Status.IN_PROGRESS),
    State.SUCCEEDED: Q(status=Status.SUCCEEDED),
    State.FAILED: Q(status__in=(Status.FAILED, Status.TIMED_OUT)),
    State.REFUSED: Q(status=Status.REJECTED),
    State.ENDED: Q(status__in=(Status.REMOVED, Status.CANCELED)),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """`wave` 0: all of them; `page` counts from 1."""

    state: State = State.ALL
    wave: int = 0
    text: str = ""
    page: int = 1

    @property
    def narrows(self) -> bool:
        return bool(self.state or self.wave or self.text)

    def of(self, executions: "QuerySet[Execution]") -> "QuerySet[Execution]":
        found = BY_STATE[self.state]
        if self.wave:
            found &= Q(wave=self.wave)
        if self.text:
            found &= Q(gateway__code__icontains=self.text)
        return executions.filter(found)


def kept(state: State, of: Counts) -> int | None:
    """How many are in a state by the counts that are kept; None where they don't tell, for what was accepted."""
    whole = {
        State.ALL: of.total,
        State.WAITING: of.waiting + of.offered,
        State.UNDER_WAY: of.in_progress,
        State.SUCCEEDED: of.succeeded,
    }
    judged = {
        State.FAILED: of.bad,
        State.REFUSED: of.rejected,
        State.ENDED: of.canceled + of.removed + of.unknown,
    }
    return whole.get(state, None if of.accepted else judged.get(state))


def read(values: Any) -> Choice:
    """Raises NotUnderstoodError."""
    state, text = values.get("estado", ""), values.get("busca", "").strip()
    if state not in set(State):
        raise NotUnderstoodError(_("There is no such state; choose one of the list."))
    if "\x00" in text or len(text) > MAX_TEXT_CHARS:
        raise NotUnderstoodError(_("Search for a part of a code, at most 64 characters."))
    wave, page = _number(values.get("onda", ""), MAX_WAVE), _number(values.get("pagina", ""), MAX_PAGE)
    return Choice(State(state), wave, text, max(1, page))


def query(choice: Choice, page: int | None = None) -> str:
    """What `read` reads, for a link."""
    parts = {
        "estado": str(choice.state),
        "onda": str(choice.wave or ""),
        "busca": choice.text,
        "pagina": str(page) if page and page > 1 else "",
    }
    return urlencode({name: value for name, value in parts.items() if value})


def state_labels() -> list[tuple[State, str]]:
    return [
        (State.ALL, _("All")),
        (State.WAITING, _("Waiting")),
        (State.UNDER_WAY, _("Under way")),
        (State.SUCCEEDED, _("Succeeded")),
        (State.FAILED, _("Failed or timed out")),
        (State.REFUSED, _("Refused by the gateway")),
        (State.ENDED, _("Canceled or removed")),
    ]


def _number(text: str, most: int) -> int:
    """0 when nothing was said. Raises NotUnderstoodError."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise NotUnderstoodError(_("A page or a wave is a number above 0."))
    return int(text)
