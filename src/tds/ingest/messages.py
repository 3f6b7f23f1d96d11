"""What comes out of judging a message: the message, or why not."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from tds.ingest.reasons import Reason

MAX_TIPO_CHARS: Final = 64  # code points, as PostgreSQL counts them
MAX_UNIDADE_CHARS: Final = 16  # the same


class Reading(Struct, frozen=True, gc=False, kw_only=True):
    """One measurement. The field names are the wire's, because msgspec decodes straight into it."""

    tipo: Annotated[str, Meta(min_length=1, max_length=MAX_TIPO_CHARS)]
    unidade: Annotated[str, Meta(max_length=MAX_UNIDADE_CHARS)] = ""
    valor: float


class Message(Struct, frozen=True, gc=False):
    """A message that no rule short of the database's refuses."""

    gateway_code: str
    device_code: str
    time: datetime  # UTC, cut to the microsecond
    readings: list[Reading]  # 1 to 500, as sent
    pairs: tuple[tuple[str, str], ...]  # (tipo, unidade) of each: with one look-up for all, not one for each


class Refusal(Struct, frozen=True, gc=False):
    """Why a message is put in quarantine."""

    reason: Reason
    detail: str  # one sentence for whoever looks after the device; holds at most a few words of the device's own
    gateway_code: str | None  # as far as it could be read
