"""From the bytes of a report to what it says, or a sentence about why it is refused. Pure.

The bounds are those of docs/firmware-updates.md, "Report". What a report has beyond its members is ignored.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder

from tds.fleet.codes import is_code
from tds.updates.executions.orders import Order
from tds.updates.executions.statuses import Phase, Reason, Status

MAX_REPORT_BYTES: Final = 2_048
MAX_COUNT: Final = 2**53 - 1  # starts, reports, bytes
MAX_COUNTER: Final = 2**31 - 1
MAX_MOMENT_S: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
MAX_SLOT: Final = 15  # of an application: ESP-IDF has ota_0 to ota_15
MAX_DETAIL_CHARS: Final = 200
MAX_NESTING: Final = 32  # levels, of what is ignored too
MAX_SHOWN_CHARS: Final = 120
SAID: Final = (Status.IN_PROGRESS, Status.REJECTED, Status.FAILED, Status.SUCCEEDED)

Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Counter = Annotated[int, Meta(ge=0, le=MAX_COUNTER)]
Life = Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}\Z")]
# Empty where it is not known, as of a program that runs without slots.
Hash = Annotated[str, Meta(pattern=r"\A(?:[0-9a-f]{64})?\Z")]
Name = Annotated[str, Meta(max_length=31)]
Word = Annotated[str, Meta(pattern=r"\A[a-z_]{0,32}\Z")]
Moment = Annotated[int, Meta(ge=0, le=MAX_MOMENT_S)]


class Running(Struct, frozen=True):
    """What a gateway runs, since its last start."""

    version: Annotated[str, Meta(min_length=1, max_length=31)]
    sha256: Hash
    slot: Annotated[int, Meta(ge=0, le=MAX_SLOT)]
    counter: Counter
    confirmed: bool
    boot_reason: Annotated[str, Meta(max_length=32)]
    family: Name
    hardware: Name
    chip: Name
    trust_version: Counter
    trust_expired: bool


class Claim(Struct, frozen=True):
    """What a gateway says of an execution. `SUCCEEDED` is no proof, and counts for nothing."""

    # As long as a command's may be: what a gateway refuses need not be of this platform.
    execution_id: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z")]
    status: str
    phase: Word
    reason: Word
    detail: Annotated[str, Meta(max_length=MAX_DETAIL_CHARS)]
    bytes: Count
    size: Count


class Report(Struct, frozen=True):
    gateway_code: str
    life: Life
    boot: Count
    number: Count
    time: Moment | None
    running: Running
    execution: Claim | None

    @property
    def order(self) -> Order:
        return Order(self.life, self.boot, self.number)


_DECODER: Final = Decoder(Report)
_SEE: Final = "send it as the platform's document on firmware updates has it"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sentence for whoever wrote the gateway's program. `other_gateway`: it is of another one than its sender."""

    sentence: str
    other_gateway: bool = False


def read(code: str, payload: bytes) -> Report | Refusal:
    """`code`: of the gateway that sent it, by its topic or its certificate."""
    if len(payload) > MAX_REPORT_BYTES:
        return Refusal(f"The report has more than {MAX_REPORT_BYTES} bytes; {_SEE}.")
    if payload.count(b"{") + payload.count(b"[") > MAX_NESTING:
        return Refusal(f"The report has more than {MAX_NESTING} brackets; {_SEE}.")
    try:
        payload.decode()  # msgspec does not look into what it skips
        report = _DECODER.decode(payload)
    except (DecodeError, UnicodeDecodeError) as error:
        return Refusal(f"The report is not as it must be: {_shown(error)}; {_SEE}.")
    if report.gateway_code != code:
        of = repr(report.gateway_code[:MAX_SHOWN_CHARS]) if is_code(report.gateway_code) else "no gateway"
        return Refusal(f"The report is of {of} by its gateway_code and was sent by {code!r}.", other_gateway=True)
    return _wrong_word(report) or report


def _wrong_word(report: Report) -> Refusal | None:
    """What types can't say."""
    running, claim = report.running, report.execution
    texts = (running.version, running.boot_reason, running.family, running.hardware, running.chip)
    if not all(text.isprintable() for text in texts):
        return Refusal(f"The report has a control character in what runs; {_SEE}.")
    return _wrong_claim(claim) if claim else None


def _wrong_claim(claim: Claim) -> Refusal | None:
    if not claim.detail.isprintable():
        return Refusal(f"The report has a control character in its detail; {_SEE}.")
    if claim.status not in SAID:
        return Refusal(f"The report's status is {claim.status[:MAX_SHOWN_CHARS]!r}; a gateway says {', '.join(SAID)}.")
    if claim.status == Status.IN_PROGRESS and claim.phase not in list(Phase):
        return Refusal(f"The report's phase is {claim.phase!r}; a gateway says {', '.join(Phase)}.")
    if claim.status in (Status.REJECTED, Status.FAILED) and not claim.reason:
        return Refusal(f"The report says {claim.status} and not why; give one of the reasons.")
    return None


def reason_of(claim: Claim) -> tuple[Reason, str]:
    """Its reason and detail. A word that this version does not know is the gateway's own, and stands in the detail."""
    try:
        return Reason(claim.reason), claim.detail
    except ValueError:
        return Reason.LOCAL_FAULT, f"{claim.reason}: {claim.detail}"[:MAX_DETAIL_CHARS].removesuffix(": ")


def _shown(error: Exception) -> str:
    return str(error).replace("`", "").rstrip(".")[:MAX_SHOWN_CHARS]
