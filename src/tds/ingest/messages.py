"""A message as it came, and what comes out of judging it: what it says, or why it is refused."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from tds.ingest.reasons import Reason

MAX_TIPO_CHARS: Final = 64  # code points, as PostgreSQL counts them
MAX_UNIDADE_CHARS: Final = 16  # the same


class Arrival(Struct, frozen=True, gc=False):
    """A message as it came. `topic` is None over HTTP.

    `tenant_id` is set where it is known whose the message is before it is read: over HTTP by the token, in a replay by
    whom it was kept for. It never becomes another tenant's. `gateway_code` is that of a token for one gateway: who
    sent it, where the payload does not say.
    `received_at` is set for one that waited since then: its clock is judged as of that moment, its age as of now.
    """

    topic: str | None
    payload: bytes
    retained: bool = False
    tenant_id: int | None = None
    received_at: datetime | None = None
    gateway_code: str | None = None


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
