"""Whether a gateway can take a release, or why not. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

ANY_HARDWARE: Final = "*"
KNOWN_BAD_AFTER: Final = 2  # of a company's gateways with a family and hardware; then it is left out on its others
KNOWN_BAD_FOR_ALL_AFTER: Final = 2  # companies; then it is left out on everybody's
EVERYBODYS: Final = 0  # in place of a company's id


class Reason(StrEnum):
    """Why a gateway is not in a rollout, the first one that is true. Their sentences are in words.py."""

    RETIRED = "retired"
    DISABLED = "disabled"
    IN_ANOTHER_ROLLOUT = "in_another_rollout"
    NO_TRUST = "no_trust"
    WRONG_FAMILY = "wrong_family"
    WRONG_CHIP = "wrong_chip"
    WRONG_HARDWARE = "wrong_hardware"
    ALREADY_ON_IT = "already_on_it"
    COUNTER_NOT_HIGHER = "counter_not_higher"
    SOURCE_TOO_OLD = "source_too_old"
    KNOWN_BAD = "known_bad"


class Place(NamedTuple):
    """What a release is bad on: gateways of a family and hardware, of one company or EVERYBODYS."""

    family: str
    hardware: str
    tenant_id: int


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """What a manifest says, and where the release is known to be bad."""

    sha256: str
    counter: int
    min_source_counter: int
    chip: str
    families: Collection[str]
    hardware: Collection[str]
    bad_on: Collection[Place] = ()


@dataclass(frozen=True, slots=True)
class Runs:
    """What a gateway reported of itself."""

    sha256: str
    counter: int
    chip: str
    family: str
    hardware: str
    trust_version: int


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """`family` and `hardware` as it was registered; what it reports is nearer to the truth. `busy`: an execution of
    another rollout is open."""

    tenant_id: int
    retired: bool
    disabled: bool
    family: str
    hardware: str
    busy: bool
    runs: Runs | None

    @property
    def true_family(self) -> str:
        return (self.runs.family if self.runs else "") or self.family

    @property
    def true_hardware(self) -> str:
        return (self.runs.hardware if self.runs else "") or self.hardware

    @property
    def place(self) -> Place:
        """Where it counts when a release rolls back on it. There its word is worth less than people's: a gateway that
        says that it is another hardware would take the release from that one."""
        return Place(self.family or self.true_family, self.hardware or self.true_hardware, self.tenant_id)


def judge(gateway: GatewayFacts, release: ReleaseFacts) -> Reason | None:  # noqa: C901, PLR0911  # a list of reasons
    """None: it is in."""
    if gateway.retired:
        return Reason.RETIRED
    if gateway.disabled:
        return Reason.DISABLED
    if gateway.true_family and gateway.true_family not in release.families:
        return Reason.WRONG_FAMILY
    runs = gateway.runs
    if runs is None or not runs.trust_version:
        return Reason.NO_TRUST
    if gateway.true_family not in release.families:
        return Reason.WRONG_FAMILY
    if runs.chip != release.chip:
        return Reason.WRONG_CHIP
    if ANY_HARDWARE not in release.hardware and gateway.true_hardware not in release.hardware:
        return Reason.WRONG_HARDWARE
    if runs.sha256 == release.sha256:
        return Reason.ALREADY_ON_IT
    if runs.counter >= release.counter:
        return Reason.COUNTER_NOT_HIGHER
    if runs.counter < release.min_source_counter:
        return Reason.SOURCE_TOO_OLD
    if is_bad_on(release.bad_on, gateway.place):
        return Reason.KNOWN_BAD
    return Reason.IN_ANOTHER_ROLLOUT if gateway.busy else None


@dataclass(frozen=True, slots=True)
class Rollbacks:
    """Of a release on a company's gateways of one family and hardware."""

    times: int
    last_at: datetime
    forgiven_at: datetime | None

    @property
    def is_forgiven(self) -> bool:
        """Forgiven is what was; whatever rolls back after that counts again."""
        return self.forgiven_at is not None and self.forgiven_at >= self.last_at

    @property
    def known_bad(self) -> bool:
        return self.times >= KNOWN_BAD_AFTER and not self.is_forgiven


def bad_on(rollbacks: Mapping[Place, Rollbacks]) -> frozenset[Place]:
    """By what rolled back on each company's. No company takes a release from another one: for that it has to roll back
    on gateways of several, since it was forgiven."""
    news = [place for place, found in rollbacks.items() if not found.is_forgiven]
    companies = Counter((place.family, place.hardware) for place in news)
    for_all = {Place(*where, EVERYBODYS) for where, number in companies.items() if number >= KNOWN_BAD_FOR_ALL_AFTER}
    return frozenset(for_all.union(place for place in news if rollbacks[place].known_bad))


def is_bad_on(bad: Collection[Place], place: Place) -> bool:
    return place in bad or place._replace(tenant_id=EVERYBODYS) in bad
