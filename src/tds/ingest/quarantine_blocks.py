"""Quarantined messages read a bounded piece at a time: all of them together may hold a gigabyte.

Each piece is a query of its own. A cursor that outlives its transaction has the database copy the whole choice to its
disk first, and a transaction as long as a slow reader keeps dead rows from being cleared away.
"""

import codecs
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from django.db.models import BinaryField, Func, IntegerField, QuerySet
from django.db.models.functions import Left, Substr

from tds.ingest.models import QuarantinedMessage

BLOCK_BYTES: Final = 8 * 1024**2  # of one block; a single message, which is never larger, always fits
BLOCK_MESSAGES: Final = 1_000
MAX_TOPIC_CHARS: Final = 500  # of one in a list; a right one has at most 144


class OctetLength(Func):
    """Known without reading what is stored out of line."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()


class Glimpse(NamedTuple):
    """A message in a list: how it begins, and how large it is."""

    id: int
    received_at: datetime
    reason: str
    detail: str
    gateway_code: str
    replayed_at: datetime | None
    topic: str
    size: int
    beginning: bytes

    @property
    def cut(self) -> bool:
        return len(self.beginning) < self.size

    def text(self) -> str | None:
        """How the payload begins, as text; None when that is no UTF-8."""
        try:
            # A character that the cut divides is left out, not an error.
            return codecs.getincrementaldecoder("utf-8")().decode(self.beginning, final=not self.cut)
        except UnicodeDecodeError:
            return None


def glimpses(chosen: "QuerySet[QuarantinedMessage]", *, limit: int, beginning_bytes: int) -> list[Glimpse]:
    """The newest of a choice, without the rest of their payloads."""
    rows = (
        chosen.order_by("-pk")
        .annotate(
            topic_begins=Left("topic", MAX_TOPIC_CHARS),
            size=OctetLength("payload"),
            beginning=Substr("payload", 1, beginning_bytes, output_field=BinaryField()),
        )
        .values_list(*Glimpse._fields[:6], "topic_begins", "size", "beginning")
    )
    return [Glimpse._make((*others, bytes(beginning))) for *others, beginning in rows[:limit]]


def blocks(chosen: "QuerySet[QuarantinedMessage]") -> Iterator[list[QuarantinedMessage]]:
    """All of a choice, the oldest first, in blocks of at most BLOCK_BYTES."""
    last = 0
    while ids := _next_ids(chosen, last):
        yield list(chosen.filter(pk__in=ids).order_by("pk"))
        last = ids[-1]


def _next_ids(chosen: "QuerySet[QuarantinedMessage]", last: int) -> list[int]:
    # A topic is as long as 65,535 bytes.
    size = OctetLength("payload") + OctetLength("topic") + OctetLength("detail")
    rows = chosen.filter(pk__gt=last).order_by("pk").annotate(size=size).values_list("pk", "size")[:BLOCK_MESSAGES]
    ids: list[int] = []
    room = BLOCK_BYTES
    for pk, bytes_of_it in rows:
        room -= bytes_of_it
        if room < 0 and ids:
            break
        ids.append(pk)
    return ids
