"""What a link or a form of the quarantine page asks for. What can't be understood is refused: it never means "all"."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from tds.dashboard.errors import NotUnderstoodError
from tds.ingest.models import QuarantinedMessage
from tds.ingest.quarantine import MAX_CODE_SHOWN_CHARS
from tds.ingest.quarantined import Choice
from tds.ingest.reasons import Reason

NOBODYS: Final = "ninguem"
MAX_ID_DIGITS: Final = len(str(2**63)) - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """`message`: that one alone. `newest`: the newest one that the person was shown; `after`: the last one tried."""

    nobodys: bool
    choice: Choice
    message: int | None
    newest: int | None
    after: int | None

    def of(self, kept: "QuerySet[QuarantinedMessage]") -> "QuerySet[QuarantinedMessage]":
        """The choice, without what came after the page was drawn."""
        chosen = self.choice.of(kept)
        if self.newest is not None:
            chosen = chosen.filter(pk__lte=self.newest)
        return chosen if self.message is None else chosen.filter(pk=self.message)


def read(values: Any) -> Asked:
    """Raises NotUnderstoodError."""
    whose = values.get("de", "")
    if whose not in {"", NOBODYS}:
        raise NotUnderstoodError(_("“%(name)s” says nothing that this page knows.") % {"name": "de"})
    return Asked(
        whose == NOBODYS,
        Choice(_reason(values.get("motivo", "")), _code(values.get("gateway", ""))),
        _id(values, "id"),
        _id(values, "ate"),
        _id(values, "apos"),
    )


def query(choice: Choice, *, nobodys: bool, after: int | None = None) -> str:
    """What `read` reads, for a link."""
    parts = {
        "de": NOBODYS if nobodys else "",
        "motivo": choice.reason,
        "gateway": choice.gateway,
        "apos": "" if after is None else str(after),
    }
    return urlencode({name: value for name, value in parts.items() if value})


def is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_ID_DIGITS


def _reason(word: str) -> str:
    if word and word not in set(Reason):
        raise NotUnderstoodError(_("There is no such reason; choose one of the list, or all of them."))
    return word


def _code(text: str) -> str:
    code: str = text.strip()
    # One of nothing but blanks would be no filter at all.
    if "\x00" in code or len(code) > MAX_CODE_SHOWN_CHARS or (text and not code):
        raise NotUnderstoodError(_("No gateway has such a code; write it as it was sent, at most 200 characters."))
    return code


def _id(values: Any, name: str) -> int | None:
    text = values.get(name, "")
    if text and not is_id(text):
        raise NotUnderstoodError(_("“%(name)s” is not the number of a message.") % {"name": name})
    return int(text) if text else None
