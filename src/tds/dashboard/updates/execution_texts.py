"""How an execution stands, in words for a person."""

from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from tds.updates.executions.statuses import PHASE_NAMES, REASON_SENTENCES, Phase, Reason, Status
from tds.updates.models import Execution, ExecutionStatus, RolloutStatus

LEVELS: Final = {
    Status.QUEUED: "quiet",
    Status.IN_PROGRESS: "busy",
    Status.SUCCEEDED: "good",
    Status.FAILED: "bad",
    Status.TIMED_OUT: "bad",
    Status.REJECTED: "warn",
    Status.REMOVED: "quiet",
    Status.CANCELED: "quiet",
}
ROLLOUT_LEVELS: Final = {
    RolloutStatus.DRAFT: "quiet",
    RolloutStatus.RUNNING: "busy",
    RolloutStatus.PAUSED: "warn",
    RolloutStatus.HALTED: "bad",
    RolloutStatus.COMPLETED: "good",
    RolloutStatus.CANCELED: "quiet",
}


@dataclass(frozen=True, slots=True)
class Told:
    """`percent` of the download while it runs, otherwise None."""

    state: str
    level: str
    phase: str
    reason: str
    percent: int | None


def told(execution: Execution, size: int) -> Told:
    status = Status(execution.status)
    phase = str(PHASE_NAMES[Phase(execution.phase)]) if execution.phase in Phase._value2member_map_ else ""
    if status is Status.QUEUED and execution.offered_at is not None:
        phase = _("offered")
    downloading = status is Status.IN_PROGRESS and execution.phase == Phase.DOWNLOADING
    return Told(
        state=str(ExecutionStatus(status).label),
        level=LEVELS[status],
        phase=phase if status in (Status.QUEUED, Status.IN_PROGRESS) else "",
        reason=sentence(execution.reason),
        percent=min(100, execution.bytes_done * 100 // size) if downloading and size else None,
    )


def sentence(reason: str) -> str:
    """Of a word of reports. A word of a later version is shown as it is."""
    return str(REASON_SENTENCES[Reason(reason)]) if reason in Reason._value2member_map_ else reason
