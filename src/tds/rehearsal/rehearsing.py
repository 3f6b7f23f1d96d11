"""One rehearsal: the stage is set, the rollout goes its way, all comes to rest, and truth and belief are compared."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tds.rehearsal import beliefs, comparison, ports
from tds.rehearsal.beliefs import Standing
from tds.rehearsal.candidate import Candidate
from tds.rehearsal.devices import Devices
from tds.rehearsal.explanations import is_bad_luck
from tds.rehearsal.facts import Belief, Truth
from tds.rehearsal.plan import RETRIES, Plan
from tds.rehearsal.refusal import RehearsalFailedError
from tds.rehearsal.report import Found
from tds.rehearsal.stage import BASE_VERSION, Stage

LOOK_S: Final = 0.5
REST_S: Final = 1.5  # before a halt is judged: what fell last is heard by then
ONLINE_LIMIT_S: Final = 60.0
ONLINE_A_DEVICE_S: Final = 0.5
SETTLE_LIMIT_S: Final = 120.0  # a device that failed to connect a few times waits for long before the next
LOOKS_ALIKE: Final = 3  # in a row, and all has come to rest


@dataclass(slots=True)
class Progress:
    """For whoever looks on."""

    doing: str = ""
    standing: Standing | None = None
    truths: dict[str, Truth] = field(default_factory=dict)
    beliefs: dict[str, Belief] = field(default_factory=dict)
    retries: int = 0


Show = Callable[[Progress], None]


def rehearse(plan: Plan, candidate: Candidate, folder: Path, show: Show) -> Found:
    """Raises RehearsalFailedError, NoPortsError. What it started is gone when it returns, however it does."""
    return _Rehearsal(plan, candidate, folder, show).hold()


class _Rehearsal:
    def __init__(self, plan: Plan, candidate: Candidate, folder: Path, show: Show) -> None:
        self._plan = plan
        self._candidate = candidate
        self._folder = folder
        self._show = show
        self._progress = Progress()
        self._began_s = time.monotonic()
        self._until_s = self._began_s + plan.limit_s

    def hold(self) -> Found:
        plan, candidate = self._plan, self._candidate
        with ports.block() as free, self._stage(free) as stage:
            self._say("The devices get their identities")
            stage.provision(plan.devices, candidate.facts.project)
            self._say("The release is signed and published")
            stage.trust(candidate)
            release = stage.publish(candidate)
            with self._devices(stage) as devices:
                self._wait_for_all(stage, devices)
                rollout = stage.roll_out(release, plan)
                self._say("The rollout runs")
                self._follow(stage, devices, rollout)
                self._say("The faults are over; all comes to rest")
                devices.calm()
                differences = self._settle(stage, devices, rollout)
                return self._found(differences)

    @contextlib.contextmanager
    def _stage(self, free: Iterator[int]) -> Iterator[Stage]:
        self._say("A platform of its own starts")
        stage = Stage(self._folder, free)
        try:
            stage.start()
            yield stage
        finally:
            self._say("The platform ends")
            stage.stop()

    @contextlib.contextmanager
    def _devices(self, stage: Stage) -> Iterator[Devices]:
        self._say("The devices start")
        devices = stage.devices(self._plan, self._candidate)
        try:
            yield devices
        finally:
            self._say("The devices end")
            devices.stop()

    def _wait_for_all(self, stage: Stage, devices: Devices) -> None:
        """Until the server knows what each runs, and each believes the keys."""
        limit_s = ONLINE_LIMIT_S + ONLINE_A_DEVICE_S * self._plan.devices
        deadline_s = time.monotonic() + limit_s
        while not self._all_are_there():
            if time.monotonic() > deadline_s:
                there = sum(belief.trust_version > 0 for belief in self._progress.beliefs.values())
                raise RehearsalFailedError(
                    f"After {limit_s:.0f} s {there} of {self._plan.devices} devices had told what they run; see "
                    f"{self._folder}, kept with --keep."
                )
            self._look(stage, devices, None)

    def _all_are_there(self) -> bool:
        told = self._progress.beliefs.values()
        return len(told) == self._plan.devices and all(each.runs and each.trust_version for each in told)

    def _follow(self, stage: Stage, devices: Devices, rollout: int) -> None:
        """Until it is over, or its time is."""
        halted_s: float | None = None
        while time.monotonic() < self._until_s:
            standing = self._look(stage, devices, rollout)
            if standing is None or standing.status in ("completed", "canceled"):
                return
            if standing.status != "halted":
                halted_s = None
            elif halted_s is None:
                halted_s = time.monotonic()
            elif time.monotonic() >= halted_s + REST_S:
                if not self._goes_on(standing):
                    return
                self._progress.retries += 1
                stage.retry(rollout)

    def _goes_on(self, standing: Standing) -> bool:
        progress = self._progress
        told = list(progress.beliefs.values())
        return progress.retries < RETRIES and is_bad_luck(standing.halted_why, progress.truths, told)

    def _settle(self, stage: Stage, devices: Devices, rollout: int) -> dict[str, tuple[str, ...]]:
        deadline_s = time.monotonic() + SETTLE_LIMIT_S
        alike = 0
        while True:
            self._look(stage, devices, rollout)
            progress = self._progress
            found = comparison.differences(progress.truths, progress.beliefs, self._target, self._names)
            at_rest = not found and all(truth.well for truth in progress.truths.values())
            alike = alike + 1 if at_rest else 0
            if alike >= LOOKS_ALIKE or time.monotonic() > deadline_s:
                return found

    def _look(self, stage: Stage, devices: Devices, rollout: int | None) -> Standing | None:
        time.sleep(LOOK_S)
        devices.check()
        progress = self._progress
        progress.beliefs = beliefs.of_devices(stage.connection, rollout)
        progress.truths = dict(devices.truths)
        if rollout is not None:
            progress.standing = beliefs.of_rollout(stage.connection, rollout)
        self._show(progress)
        return progress.standing

    def _say(self, doing: str) -> None:
        self._progress.doing = doing
        self._show(self._progress)

    @property
    def _target(self) -> str:
        return self._candidate.facts.sha256

    @property
    def _names(self) -> dict[str, str]:
        former = {belief.runs.sha256 for belief in self._progress.beliefs.values() if belief.runs} - {self._target}
        base = self._plan.base.name if self._plan.base else BASE_VERSION
        return dict.fromkeys(former, f"{base} (before)") | {self._target: self._candidate.name}

    def _found(self, differences: dict[str, tuple[str, ...]]) -> Found:
        progress = self._progress
        return Found(
            release=self._candidate.name,
            target=self._target,
            seed=self._plan.seed,
            standing=progress.standing,
            truths=progress.truths,
            beliefs=progress.beliefs,
            differences=differences,
            names=self._names,
            retries=progress.retries,
            took_s=time.monotonic() - self._began_s,
        )
