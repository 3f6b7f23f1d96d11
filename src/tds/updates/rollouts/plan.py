"""What a person plans before a rollout is made, and what would become of it: a look that changes nothing."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from tds.updates.models import Release, ReleaseKind, ReleaseStatus, Rollout
from tds.updates.rollouts import limits as bounds
from tds.updates.rollouts import roster, target, waves
from tds.updates.rollouts.asker import Asker
from tds.updates.rollouts.eligibility import Reason
from tds.updates.rollouts.limits import MAX_GATEWAYS, Limits
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.roster import Candidate
from tds.updates.rollouts.target import Target
from tds.updates.rollouts.waves import Sized
from tds.updates.rollouts.windows import Window

PAGE: Final = 100  # gateways
NAMED: Final = 20  # gateways that are left out, of each reason
MAX_NAME_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Plan:
    release: Release
    target: Target
    waves: str = waves.STANDARD
    limits: Limits = bounds.STANDARD
    name: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """`page`: gateways from `offset` on, of those in, or of those that are left out for one reason. `named`: the first
    of each reason."""

    gateways: int
    left_out: dict[Reason, int]
    waves: tuple[Sized, ...]
    unknown_codes: tuple[str, ...]
    unknown_tags: tuple[str, ...]
    page: tuple[Candidate, ...] = field(default=())
    named: dict[Reason, list[Candidate]] = field(default_factory=dict)


def check(plan: Plan) -> None:
    """Raises RolloutRefusedError with a sentence, before anybody looks at gateways."""
    target.checked(plan.target)
    bounds.checked(plan.limits)
    waves.parse(plan.waves)
    if "\x00" in plan.name:
        raise RolloutRefusedError(_("The name has a character that no name can have."))
    if len(plan.name) > MAX_NAME_CHARS:
        raise RolloutRefusedError(_("The name is longer than %(most)d characters.") % {"most": MAX_NAME_CHARS})
    startable(plan.release)


def startable(release: Release) -> None:
    """Raises RolloutRefusedError unless it may be rolled out."""
    if release.kind != ReleaseKind.APPLICATION:
        raise RolloutRefusedError(
            _("%(release)s is a test image, which is never rolled out.") % {"release": str(release)}
        )
    if release.status == ReleaseStatus.WITHDRAWN:
        raise RolloutRefusedError(_("%(release)s was withdrawn.") % {"release": str(release)})
    if release.status != ReleaseStatus.PUBLISHED:
        raise RolloutRefusedError(_("%(release)s is not published yet: publish it first.") % {"release": str(release)})


def preview(  # noqa: PLR0913  # what to look at, and which page of it
    asker: Asker,
    plan: Plan,
    *,
    now: datetime,
    reason: Reason | None = None,
    offset: int = 0,
    besides: int | None = None,
) -> Preview:
    """Who would be in now, and who not and why; the page is of those with that reason, or of those in. Its own tenant.

    Raises RolloutRefusedError, PermissionDenied.
    """
    asker.require_operator()
    check(plan)
    counts: Counter[Reason | None] = Counter()
    page: list[Candidate] = []
    named: dict[Reason, list[Candidate]] = {}
    gateways = asker.gateways()
    for candidate in roster.walk(
        plan.target.select(gateways), roster.release_facts(plan.release), now=now, besides=besides
    ):
        counts[candidate.reason] += 1
        if candidate.reason is reason and counts[reason] > offset and len(page) < PAGE:
            page.append(candidate)
        if candidate.reason is not None and counts[candidate.reason] <= NAMED:
            named.setdefault(candidate.reason, []).append(candidate)
    return Preview(
        counts[None],
        {each: counts[each] for each in Reason if counts[each]},
        sized(plan.waves, counts[None]) if counts[None] else (),
        tuple(plan.target.unknown_codes(gateways)),
        tuple(plan.target.unknown_tags(gateways)),
        tuple(page),
        named,
    )


def sized(text: str, gateways: int) -> tuple[Sized, ...]:
    if gateways > MAX_GATEWAYS:
        raise RolloutRefusedError(
            _("%(gateways)d gateways are too many for one rollout; choose at most %(most)d.")
            % {"gateways": gateways, "most": MAX_GATEWAYS}
        )
    return waves.sizes(waves.parse(text), gateways)


def limits_of(rollout: Rollout) -> Limits:
    window = None
    if rollout.window_start is not None and rollout.window_end is not None:
        window = Window(rollout.window_start, rollout.window_end)
    return Limits(
        rollout.success_percent,
        rollout.failure_percent,
        rollout.failure_min_finished,
        rollout.soak_s,
        rollout.concurrency,
        rollout.spread_s,
        rollout.offer_limit_s,
        window,
        rollout.one_per_site,
        rollout.gate,
    )
