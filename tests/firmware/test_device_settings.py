"""Changes at the console of a device as a program: kept when the new broker takes its readings, else undone."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tests.boxes import Maker
from tests.devices import Device, device
from tests.listening import Heard, subscriber
from tests.running import RunningBroker, free_port, running_broker, wait_until

TRIAL_S: Final = 600
LEFT_S: Final = 15
LATE_S: Final = 3.0  # one that is late is busy, not wrong
STARTS_MAX: Final = 5
CODE: Final = "GW-1"
ON_TRIAL: Final = "On trial: unless a publish is acknowledged within"
BACK: Final = "With the changed settings nothing was acknowledged: the former ones are back."
STAY: Final = "With the changed settings a publish was acknowledged: they stay."

Moment = tuple[str, datetime]  # which device of the gateway, and when


@pytest.fixture
def other_broker(maker: Maker) -> Iterator[RunningBroker]:
    """Of the same platform."""
    with running_broker(authorities=maker.authorities) as running:
        yield running


def url(port: int) -> str:
    return f"mqtts://localhost:{port}"


def url_of(broker: RunningBroker) -> str:
    return url(broker.broker.listeners.tls)


class Field:
    """A device that got through to its first broker, so that there is something to lose."""

    def __init__(self, one: Device, journal: Path, heard: Heard) -> None:
        self.one = one
        self.heard = heard  # at that broker
        self._journal = journal

    def wait_for_word(self, word: str, limit_s: float = 10.0, times: int = 1) -> None:
        wait_until(lambda: self.one.log.count(word) >= times, f"the word {word!r} of:\n{self.one.log}", limit_s)

    def shows_broker(self, uri: str, source: str) -> None:
        line = f"broker_uri = {uri} ({source})"
        shown = self.one.log.count(line)
        self.one.type("show broker_uri")
        self.wait_for_word(line, times=shown + 1)

    def start_anew(self) -> None:
        """Power goes, and is back."""
        self.one.kill()
        self.one.start()

    def measured(self) -> set[Moment]:
        """What its outbox took, by what it wrote down itself; a line that is being written is left out."""
        lines = self._journal.read_text(encoding="utf-8").split("\n")[:-1]
        samples = [json.loads(line) for line in lines]
        return {(sample["device"], datetime.fromtimestamp(sample["time"], UTC)) for sample in samples}

    def wait_until_all_came(self, *others: Heard) -> None:
        kept = self.measured()
        wait_until(lambda: not kept - moments(self.heard, *others), f"all of {sorted(kept)}")
        assert self.one.report()["dropped"] == 0


def moments(*heard: Heard) -> set[Moment]:
    return {(name, datetime.fromisoformat(stamp)) for each in heard for _, name, stamp in each.telemetry}


@pytest.fixture
def field(maker: Maker, guarded: Path, tls_broker: RunningBroker, tmp_path: Path) -> Iterator[Field]:
    journal = tmp_path / "journal.jsonl"
    words: list[str | Path] = ["--box", maker.provision(CODE), "--broker", url_of(tls_broker), "--interval", "5"]
    words += ["--journal", journal]
    with subscriber(tls_broker) as heard, device(guarded / "dcu-0080", tmp_path / "1", *words) as one:
        one.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement")
        yield Field(one, journal, heard)


def test_a_broker_that_leads_nowhere_is_tried_and_undone_when_its_time_is_over_and_not_before(
    field: Field, tls_broker: RunningBroker
) -> None:
    nowhere = url(free_port())
    begun = time.monotonic()
    field.one.type(f"set broker_uri {nowhere}")
    field.wait_for_word(f"{ON_TRIAL} {TRIAL_S} s")
    wait_until(lambda: (CODE, "offline", False) in field.heard.presence, "its goodbye")
    before = field.one.report()["failures"]
    field.one.wait_for(lambda report: report["failures"] >= before + 2, "some tries")
    assert field.one.report()["last_failure"] == "tcp"
    field.one.type(f"!later {TRIAL_S - LEFT_S}")
    field.shows_broker(nowhere, "set")
    assert BACK not in field.one.log
    field.wait_for_word(BACK, LEFT_S + LATE_S)
    assert LEFT_S <= time.monotonic() - begun <= LEFT_S + LATE_S
    field.one.wait_for(lambda report: report["state"] == "online", "its former broker")
    field.shows_broker(url_of(tls_broker), "factory")
    field.wait_until_all_came()
    assert field.one.report()["reconnects"] == 1
    assert STAY not in field.one.log


def test_what_was_undone_stays_so_over_a_power_cut(field: Field, tls_broker: RunningBroker) -> None:
    field.one.type(f"set broker_uri {url(free_port())}")
    field.wait_for_word(ON_TRIAL)
    field.one.type(f"!later {TRIAL_S}")
    field.wait_for_word(BACK)
    field.start_anew()
    field.one.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement")
    field.shows_broker(url_of(tls_broker), "factory")
    assert field.one.log.count(ON_TRIAL) == field.one.log.count(BACK) == 1


def test_a_change_under_which_it_is_started_again_and_again_is_undone_at_the_sixth_start(field: Field) -> None:
    """Long before its time is over: somebody turns it off and on because nothing comes."""
    field.one.type(f"set broker_uri {url(free_port())}")
    field.wait_for_word(ON_TRIAL)
    for _ in range(STARTS_MAX):
        field.start_anew()
        field.one.wait_for(lambda report: report["failures"] > 0, "a try")
    assert BACK not in field.one.log
    field.start_anew()
    field.wait_for_word(BACK)
    field.one.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement")
    field.wait_until_all_came()


def test_a_second_broker_that_takes_its_readings_is_kept_also_over_a_power_cut(
    field: Field, other_broker: RunningBroker
) -> None:
    with subscriber(other_broker) as heard:
        field.one.type(f"set broker_uri {url_of(other_broker)}")
        field.wait_for_word(ON_TRIAL)
        field.wait_for_word(STAY)
        wait_until(lambda: (CODE, "offline", False) in field.heard.presence, "its goodbye to the first")
        wait_until(lambda: (CODE, "online", False) in heard.presence, "its word to the second")
        came = field.heard.telemetry.total()
        field.one.type(f"!later {TRIAL_S}")
        field.wait_until_all_came(heard)
        field.start_anew()
        field.one.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement")
        field.shows_broker(url_of(other_broker), "set")
        assert field.one.log.count(ON_TRIAL) == 1
        assert BACK not in field.one.log
        assert field.heard.telemetry.total() == came


def test_a_broker_of_another_platform_is_undone(field: Field, tmp_path: Path) -> None:
    """It is there and answers; what it shows is of no authority that this device trusts."""
    (tmp_path / "other").mkdir()
    foreign = Maker.new(tmp_path / "other")
    with running_broker(authorities=foreign.authorities) as broker:
        field.one.type(f"set broker_uri {url_of(broker)}")
        field.one.wait_for_failure("tls_authority")
        field.one.type(f"!later {TRIAL_S}")
        field.wait_for_word(BACK)
        field.one.wait_for(lambda report: report["state"] == "online", "its former broker")
        field.wait_until_all_came()
