"""Which failures of an update are no wonder after what happened to the device. Pure.

A rehearsal does what a person would: whoever failed by bad luck tries again, and the rollout goes on. What no fault
explains is the release's own.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from tds.rehearsal.facts import Belief, Fate, Fault, Truth
from tds.updates.executions.statuses import Reason
from tds.updates.rollouts.rules import Halt

BOOT_FAILED: Final = frozenset({Reason.ROLLED_BACK, Reason.NOT_BOOTABLE, Reason.NOT_CONFIRMED})
# Of a network that is away or slow for seconds. A device that can't connect gives a new image up.
NETWORK_FAILED: Final = frozenset({Reason.DOWNLOAD_FAILED, Reason.NOT_CONFIRMED, Reason.NO_ANSWER})
MAY_CAUSE: Final[Mapping[Fault, frozenset[Reason]]] = {
    Fault.POWER: frozenset(),
    Fault.NETWORK: NETWORK_FAILED,
    Fault.BAD_IMAGE: frozenset({Reason.HASH_MISMATCH}),
    Fault.SLOW: NETWORK_FAILED,
    # With another time certificates and tickets are not good yet, or not any more.
    Fault.CLOCK: NETWORK_FAILED | {Reason.EXPIRED, Reason.KEY_OUT_OF_TIME},
}


def explained(belief: Belief, fates: Iterable[Fate]) -> bool:
    """A failure of this attempt: by a fault that fell since it was offered, so that one fault explains one failure."""
    return any(_fell_since(fate, belief.offered_at) and belief.reason in _may_cause(fate) for fate in fates)


def is_bad_luck(halted_why: str, truths: Mapping[str, Truth], beliefs: Collection[Belief]) -> bool:
    """Whether a rollout halted for nothing but faults.

    Never of the telemetry gate's halts: whoever goes on after one has what ran until then looked at no more.
    """
    bad = [belief for belief in beliefs if belief.is_bad and not belief.accepted]
    return halted_why != Halt.TELEMETRY and bool(bad) and all(explained(each, truths[each.code].fates) for each in bad)


def _may_cause(fate: Fate) -> frozenset[Reason]:
    return MAY_CAUSE[fate.fault] | (BOOT_FAILED if fate.cost_a_boot else frozenset())


def _fell_since(fate: Fate, moment: datetime | None) -> bool:
    return fate.fell_at is not None and (moment is None or fate.fell_at >= moment or fate.fault is Fault.SLOW)
