"""The messages of a simulated gateway, sound and broken, judged by the rules of the platform."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tds.ingest.wire import Message as Accepted
from tds.ingest.wire import Refusal, judge
from tds.simulator.faults import BROKEN, Fault, FaultPlan, payload
from tds.simulator.message import Kind, Message, timestamp, topic

NOW_MS = 1_790_000_000_250
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
RETENTION = timedelta(days=90)
EVERY_KIND = frozenset(Fault)


def verdict(message: Message) -> Accepted | Refusal:
    return judge(topic("GW-1", message.device), payload(7, "GW-1", message), now=NOW, retention=RETENTION)


def plan(*faults: Fault, rate: float = 1.0, gateway: str = "GW-1") -> FaultPlan:
    return FaultPlan.of(frozenset(faults), rate, 7, gateway)


def test_a_sound_message_is_accepted_with_its_four_readings() -> None:
    judged = verdict(Message("D01", NOW_MS))
    assert isinstance(judged, Accepted)
    assert judged.time == NOW
    assert [(one.tipo, one.unidade) for one in judged.readings] == [
        ("temperatura", "°C"),
        ("umidade", "%"),
        ("energia", "kWh"),
        ("tensao", "V"),
    ]


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("age", [timedelta(0), timedelta(days=30)])
def test_each_broken_message_is_refused_for_the_reason_it_is_named_after(name: str, age: timedelta) -> None:
    variant = list(BROKEN).index(name)
    judged = verdict(Message("D01", NOW_MS - age // timedelta(milliseconds=1), Kind.BAD, variant))
    assert isinstance(judged, Refusal)
    assert judged.reason == name.partition(",")[0]


def test_timestamps_carry_milliseconds_only_where_there_are_some() -> None:
    assert timestamp(1_771_439_400_000) == "2026-02-18T15:30:00-03:00"
    assert timestamp(1_771_439_400_007) == "2026-02-18T15:30:00.007-03:00"


def test_without_faults_there_is_one_plain_message() -> None:
    assert plan().messages("D01", 0, NOW_MS) == [Message("D01", NOW_MS)]
    assert not plan().cuts_connection(NOW_MS)


def test_at_a_rate_of_one_every_fault_strikes() -> None:
    messages = plan(*Fault).messages("D01", 0, NOW_MS)
    assert [message.kind for message in messages] == [Kind.PLAIN, Kind.DUPLICATE, Kind.LATE, Kind.BAD]
    assert plan(*Fault).cuts_connection(NOW_MS)


def test_a_duplicate_is_the_same_message_byte_for_byte() -> None:
    plain, duplicate = plan(Fault.DUPLICATES).messages("D01", 0, NOW_MS)
    assert payload(7, "GW-1", plain) == payload(7, "GW-1", duplicate)


def test_a_late_message_is_hours_old_and_accepted() -> None:
    _, late = plan(Fault.LATE).messages("D01", 0, NOW_MS)
    assert 3_600_000 <= NOW_MS - late.at_ms <= 13 * 3_600_000
    assert isinstance(verdict(late), Accepted)


def test_broken_messages_go_through_all_the_ways_to_be_broken() -> None:
    bad = plan(Fault.BAD)
    variants = {bad.messages("D01", 0, NOW_MS + n)[-1].variant for n in range(len(BROKEN))}
    assert variants == set(range(len(BROKEN)))


def test_faults_strike_as_often_as_asked_for_and_not_together() -> None:
    one_in_ten = plan(Fault.LATE, Fault.DUPLICATES, rate=0.1)
    drawn = [one_in_ten.messages("D01", 0, NOW_MS + n * 1000) for n in range(5_000)]
    late = {n for n, messages in enumerate(drawn) if any(one.kind is Kind.LATE for one in messages)}
    twice = {n for n, messages in enumerate(drawn) if any(one.kind is Kind.DUPLICATE for one in messages)}
    assert 400 < len(late) < 600
    assert 400 < len(twice) < 600
    assert len(late & twice) < 100


def test_the_same_run_goes_wrong_in_the_same_places() -> None:
    first, second = plan(*Fault, rate=0.1), plan(*Fault, rate=0.1)
    for n in range(500):
        assert first.messages("D01", 1, NOW_MS + n) == second.messages("D01", 1, NOW_MS + n)


def test_payloads_are_json_with_the_codes_of_the_topic() -> None:
    contents = json.loads(payload(7, "GW-1", Message("D09", NOW_MS)))
    assert (contents["gateway_code"], contents["device_code"]) == ("GW-1", "D09")
