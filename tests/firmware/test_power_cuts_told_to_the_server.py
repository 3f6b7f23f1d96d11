"""Power goes at every write of an update: the reports of each such story, as the device's core sent them, are judged by
the platform's own rules. What these believe at its end is what runs."""

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tds.updates.executions.facts import Execution
from tds.updates.executions.keeper import Came, Sender, _settled
from tds.updates.executions.reports import Report, read
from tds.updates.executions.rows import Loaded
from tds.updates.executions.statuses import Status
from tds.updates.executions.transitions import USUAL, State
from tests.firmware_built import built

GATEWAY: Final = "GW-1"
EXECUTION: Final = "e-1"
OFFERED: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Story(NamedTuple):
    """`cut` is the write at which power went, and how that was left; `runs` is what the device runs at the end."""

    cut: str
    before: str
    target: str
    reports: list[bytes]
    runs: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By firmware/tests/test_update_power.c."""
    program = built("test_update_power") / "test_update_power"
    file = tmp_path_factory.mktemp("power") / "stories"
    environment = os.environ | {"UPDATE_STORIES": str(file)}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return file


def stories(file: Path) -> Iterator[Story]:
    with file.open("rb") as lines:
        cut, before, target, reports = "", "", "", list[bytes]()
        for line in lines:
            word, _, rest = line.rstrip(b"\n").partition(b" ")
            if word == b"story":
                cut, before, target = rest.decode().rsplit(" ", 2)
                reports = []
            elif word == b"runs":
                yield Story(cut, before, target, reports, rest.decode())
            else:
                reports.append(line.rstrip(b"\n"))


def believed(story: Story) -> tuple[State, str, bool]:
    """How the execution ended, what is known to run, and whether that is confirmed."""
    came = []
    for number, payload in enumerate(story.reports):
        report = read(GATEWAY, payload)
        assert isinstance(report, Report), (payload, report)
        came.append(Came(Sender(1, GATEWAY), report, OFFERED + timedelta(seconds=number)))
    waiting = State(offered_at=OFFERED, changed_at=OFFERED)
    row = Loaded(1, 1, 1, 1, Execution(EXECUTION, story.target, story.before), waiting, "1.0.0", None, 1, "")
    [after], known = _settled([row], None, came, USUAL)
    return after.state, known.running.sha256, known.running.confirmed


def test_wherever_power_goes_in_an_update_the_server_ends_with_the_truth(told: Path) -> None:
    ends: Counter[tuple[str, str]] = Counter()
    for story in stories(told):
        state, sha256, confirmed = believed(story)
        assert (sha256, confirmed) == (story.runs, True), story.cut
        assert state.status is (Status.SUCCEEDED if story.runs == story.target else Status.FAILED), (story.cut, state)
        ends[state.status, state.reason] += 1
    print(f"\n{ends.total()} stories: {dict(ends)}")
    assert ends.total() > 500
    assert {status for status, _reason in ends} == {Status.SUCCEEDED, Status.FAILED}
