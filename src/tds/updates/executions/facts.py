"""Which facts a report is of one execution of its gateway. Pure."""

from dataclasses import dataclass, replace

from tds.updates.executions.orders import Former, Order, is_newer
from tds.updates.executions.reports import Claim, Report, reason_of
from tds.updates.executions.statuses import AFTER_A_BOOT, Phase, Reason, Status
from tds.updates.executions.transitions import SAYS_PHASE, Fact, Kind


@dataclass(frozen=True, slots=True)
class Runs:
    """What a gateway runs, by the newest of its reports."""

    sha256: str
    confirmed: bool
    order: Order


@dataclass(frozen=True, slots=True)
class Execution:
    """What reports of an execution are held against. `before`: what ran as it was offered; empty if nobody knew."""

    public_id: str
    target: str  # SHA-256
    before: str = ""
    heard: Order | None = None  # the newest report that spoke of it
    tried: Order | None = None  # the first report by which the new image was or is to be booted
    goes_on: bool = True  # its rollout: what is installed when that is over is nothing to it

    def again(self, public_id: str) -> "Execution":
        """Of the next attempt."""
        return replace(self, public_id=public_id, heard=None, tried=None)


def facts_of(  # noqa: PLR0913  # what a report is held against
    execution: Execution, report: Report, runs: Runs, former: Former, *, news: bool, ran: bool = False
) -> tuple[Execution, list[Fact]]:
    """The facts in the order in which they count: what runs comes last, whatever was said.

    `runs` is after this report: of it, if it is `news` of what runs, else of another one, or of this one's copy.
    `ran`: it was known to run the target, so that whatever else runs now was started since.
    """
    facts: list[Fact] = []
    claim = report.execution if report.execution and report.execution.execution_id == execution.public_id else None
    newest = runs.order == report.order
    tried = _tried(execution, report, claim, newest=newest)
    is_heard = claim is not None and _is_heard(execution, report, former, newest=newest)
    if claim and is_heard:
        execution = replace(execution, heard=report.order)
        facts += _said(claim)
    # A late report tells nothing of what runs now; but what runs stands above its claim, and with it may tell more.
    if news or is_heard or tried != execution.tried:
        if not execution.before and tried is None:
            execution = replace(execution, before=runs.sha256)
        execution = replace(execution, tried=tried)
        facts += _running(execution, runs, ran=ran)
    return execution, facts


def _said(claim: Claim) -> list[Fact]:
    reason, detail = reason_of(claim)
    match claim.status:
        case Status.IN_PROGRESS:
            return [Fact(SAYS_PHASE[Phase(claim.phase)], bytes_done=claim.bytes)]
        case Status.REJECTED if reason is Reason.ALREADY_RUNNING:
            return [Fact(Kind.SAYS_REJECTED_COPY, reason, detail)]
        case Status.REJECTED if reason is Reason.REPLAYED:
            return [Fact(Kind.SAYS_REPLAYED, reason, detail)]
        case Status.REJECTED:
            return [Fact(Kind.SAYS_REJECTED, reason, detail)]
        case Status.FAILED:
            return [Fact(Kind.SAYS_FAILED, reason, detail, claim.bytes)]
        case _:
            return []  # SUCCEEDED is nothing that a gateway can say


def _running(execution: Execution, runs: Runs, *, ran: bool) -> list[Fact]:
    if runs.sha256 == execution.target:
        return [Fact(Kind.RUNS_TARGET if runs.confirmed else Kind.RUNS_TARGET_ON_TRIAL)]
    if execution.tried is None or not (ran or runs.order.later_start_than(execution.tried)):
        return []
    old = not execution.before or runs.sha256 == execution.before
    if old:
        return [Fact(Kind.RUNS_OLD_AFTER_REBOOT)]
    instead = [Fact(Kind.RUNS_OTHER_INSTEAD)] if runs.confirmed and execution.goes_on else []
    return [*instead, Fact(Kind.RUNS_OTHER_AFTER_REBOOT)]


def _tried(execution: Execution, report: Report, claim: Claim | None, *, newest: bool) -> Order | None:
    """The first report that tells of the new image's start, in the life of the one that is known."""
    boots = claim is not None and (
        claim.phase == Phase.REBOOTING or (claim.status == Status.FAILED and claim.reason in AFTER_A_BOOT)
    )
    # A late report of the target, without a word of this execution, may be of a time before it.
    runs_it = report.running.sha256 == execution.target and (claim is not None or newest)
    tried = execution.tried
    if not boots and not runs_it:
        return tried
    if tried is None or (tried.life == report.life and report.order < tried):
        return report.order
    return tried


def _is_heard(execution: Execution, report: Report, former: Former, *, newest: bool) -> bool:
    """A report that is the newest of its gateway is newer than all that was said of an execution."""
    if newest:
        return report.order != execution.heard
    return is_newer(report.order, execution.heard, former)
