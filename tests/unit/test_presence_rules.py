"""What a presence says and what becomes of what was known: the rules, without a broker."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.devicelink.arrivals import MAX_REPORT_BYTES, event_of
from tds.devicelink.events import Caught, How, Report, Said, Uptime
from tds.devicelink.presence import (
    MAX_BROKERS,
    MAX_INTERVAL_S,
    MAX_PAYLOAD_BYTES,
    Around,
    Ignored,
    Known,
    gone,
    merge,
    read,
)
from tds.devicelink.topics import MARKER_TOPIC, UPTIME_TOPIC, Kind, parse
from tds.mqtt.inbox import Received

NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
A: Final = "broker"
B: Final = "broker-2"


def body(**fields: Any) -> bytes:
    return json.dumps({"gateway_code": "GW-1", "status": "online"} | fields).encode()


def heard(payload: bytes, *, how: How = How.LIVE) -> Said | Ignored:
    return read(A, "GW-1", payload, at=NOW, how=how)


# What a message says


def test_a_presence_says_whether_the_gateway_is_there() -> None:
    assert heard(body()) == Said(A, "GW-1", online=True, at=NOW, how=How.LIVE)
    assert heard(body(status="offline")) == Said(A, "GW-1", online=False, at=NOW, how=How.LIVE)


def test_a_presence_may_say_its_time_and_its_firmware() -> None:
    said = heard(body(timestamp="2026-02-18T15:30:00-03:00", firmware="1.2.3+é"))
    assert isinstance(said, Said)
    assert (said.timestamp, said.firmware) == (NOW, "1.2.3+é")


def test_a_presence_may_say_how_often_its_gateway_sends() -> None:
    for seconds in (1, 3_600, MAX_INTERVAL_S):
        said = heard(body(interval_s=seconds))
        assert isinstance(said, Said)
        assert said.interval == timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [0, -1, MAX_INTERVAL_S + 1, 10**400, 60.0, True, "60", None, [60], {}])
def test_an_interval_that_can_not_be_one_is_as_if_it_were_not_said(seconds: object) -> None:
    assert heard(body(interval_s=seconds)) == Said(A, "GW-1", online=True, at=NOW, how=How.LIVE)


def test_a_gateways_interval_holds_until_it_comes_and_says_another_or_none() -> None:
    came = Said(A, "GW-1", online=True, at=NOW, how=How.LIVE, interval=MINUTE)
    known = merge(None, came, Around())
    assert known is not None
    assert known.interval == MINUTE
    gone_again = merge(known, replace(came, online=False, interval=None), Around())
    assert gone_again is not None
    assert gone_again.interval == MINUTE  # its will says nothing of it
    for interval in (2 * MINUTE, None):
        back = merge(gone_again, replace(came, interval=interval), Around())
        assert back is not None
        assert back.interval == interval


@pytest.mark.parametrize("time", ["", "yesterday", "2026-02-18", "2026-02-18T15:30:00", 7, None, [], "9" * 99])
@pytest.mark.parametrize("firmware", ["x" * 65, "a\nb", "a\x00b", 7, None, {}])
def test_a_time_or_a_firmware_that_can_not_be_understood_takes_nothing_from_the_presence(
    time: object, firmware: object
) -> None:
    assert heard(body(timestamp=time, firmware=firmware)) == Said(A, "GW-1", online=True, at=NOW, how=How.LIVE)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"online", Ignored.NOT_JSON),
        (b"\xff", Ignored.NOT_JSON),
        (b"null", Ignored.NOT_JSON),
        (b"[]", Ignored.NOT_JSON),
        (b"{}", Ignored.NOT_JSON),
        (b'{"gateway_code": "GW-1"}', Ignored.NOT_JSON),
        (b'{"gateway_code": "GW-1", "status": "online", "x": "\xff"}', Ignored.NOT_JSON),
        (b"[" * MAX_PAYLOAD_BYTES, Ignored.NOT_JSON),
        (b'{"a":' * 200, Ignored.NOT_JSON),
        (body(status=True), Ignored.NOT_JSON),
        (body(gateway_code=1), Ignored.NOT_JSON),
        (body(gateway_code="GW-2"), Ignored.CODE_MISMATCH),
        (body(gateway_code="gw-1"), Ignored.CODE_MISMATCH),
        (body(status="ONLINE"), Ignored.BAD_STATUS),
        (body(status=""), Ignored.BAD_STATUS),
        (body(x="y" * MAX_PAYLOAD_BYTES), Ignored.TOO_LARGE),
        (b"\0" * 262_144, Ignored.TOO_LARGE),
    ],
)
def test_junk_on_a_status_topic_says_nothing_and_why(payload: bytes, why: Ignored) -> None:
    assert heard(payload) is why


@given(st.binary(max_size=2 * MAX_PAYLOAD_BYTES))
def test_no_bytes_whatever_raise(payload: bytes) -> None:
    assert isinstance(heard(payload), Said | Ignored)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(["gateway_code", "status", "timestamp", "firmware", "interval_s", "x"]), json_values
    )
)
def test_no_object_whatever_raises(fields: dict[str, Any]) -> None:
    found = heard(body(**fields))
    if isinstance(found, Said):
        assert found.firmware.isprintable()
        assert found.timestamp is None or found.timestamp.tzinfo is UTC


# What a topic is


@pytest.mark.parametrize("code", ["GW-1", "a", "9.x_y-", "G" * 64])
def test_the_topics_of_a_gateway_are_known(code: str) -> None:
    assert parse(f"status/{code}") == (Kind.PRESENCE, code)
    assert parse(f"ota/{code}/status") == (Kind.REPORT, code)


@pytest.mark.parametrize(
    "topic",
    [
        *("", "status", "status/", "status/+", "status/#", "status/GW/1", "status/_x", "status/é", "status/GW-1\n"),
        *("status/" + "G" * 65, "Status/GW-1", "ota/GW-1/update", "ota/status", "ota/+/status", "$SYS/x", "x" * 65_535),
    ],
)
def test_no_other_topic_is_a_gateways(topic: str) -> None:
    assert parse(topic) is None


def arrived(topic: str, payload: bytes, *, retain: bool = False, how: How = How.LIVE) -> object:
    return event_of(Received(topic, payload, retain, 1), broker=A, at=NOW, how=how, marker=b"ours")


def test_a_retained_presence_is_none_that_happened_now() -> None:
    said = arrived("status/GW-1", body(), retain=True)
    assert said == Said(A, "GW-1", online=True, at=NOW, how=How.RETAINED)


def test_only_our_own_marker_ends_what_was_retained() -> None:
    assert arrived(MARKER_TOPIC, b"ours") == Caught(A, NOW)
    assert isinstance(arrived(MARKER_TOPIC, b"theirs"), Ignored)


def test_a_cleared_presence_says_nothing() -> None:
    assert arrived("status/GW-1", b"") is None


def test_of_a_report_that_is_too_large_no_more_is_kept_than_shows_that() -> None:
    report = arrived("ota/GW-1/status", b"x" * 262_144)
    assert report == Report(A, "GW-1", b"x" * (MAX_REPORT_BYTES + 1), NOW)


@pytest.mark.parametrize(
    ("payload", "seconds"), [(b"0 seconds", 0), (b"90 seconds", 90), (b"9999999999 seconds", 9_999_999_999)]
)
def test_an_uptime_tells_when_the_broker_was_started(payload: bytes, seconds: int) -> None:
    found = arrived(UPTIME_TOPIC, payload)
    assert found == Uptime(A, NOW - timedelta(seconds=seconds), retained=False, at=NOW)


@pytest.mark.parametrize("payload", [b"", b"seconds", b"1 minute", b"-1 seconds", b"\xb2 seconds", b"9" * 11])
def test_an_uptime_in_other_words_says_nothing(payload: bytes) -> None:
    assert arrived(UPTIME_TOPIC, payload) is None


@given(st.text(max_size=80), st.binary(max_size=80), st.booleans())
def test_no_message_whatever_raises(topic: str, payload: bytes, retain: bool) -> None:
    arrived(topic, payload, retain=retain)


# What becomes of what was known


def said(online: bool, *, broker: str = A, minute: int = 0, how: How = How.LIVE, **fields: Any) -> Said:
    return Said(broker, "GW-1", online, NOW + minute * MINUTE, how, **fields)


def known(*told: Said, before: Known | None = None, around: Around | None = None) -> Known:
    for one in told:
        before = merge(before, one, around or Around())
    assert before is not None
    return before


def test_a_gateway_is_connected_since_it_said_so() -> None:
    now = known(said(online=False), said(online=True, minute=1))
    assert (now.online, now.changed_at, now.witnessed, now.broker) == (True, NOW + MINUTE, True, A)


def test_saying_the_same_again_changes_no_time() -> None:
    now = known(said(online=True), said(online=True, minute=5))
    assert (now.changed_at, now.heard_at) == (NOW, NOW + 5 * MINUTE)


def test_a_taken_over_session_is_a_new_one() -> None:
    # The will of the old connection, then the new one's word: in this order, by one broker.
    now = known(said(online=True), said(online=False, minute=5), said(online=True, minute=5))
    assert (now.online, now.changed_at) == (True, NOW + 5 * MINUTE)


def test_what_was_retained_did_not_happen_now() -> None:
    now = known(said(online=True, how=How.RETAINED))
    assert (now.online, now.witnessed, now.heard_at) == (True, False, None)
    # That it is still so is no news.
    before = known(said(online=True), said(online=True, minute=9, how=How.RETAINED))
    assert before == known(said(online=True))


def test_a_change_while_nobody_listened_is_known_at_the_latest() -> None:
    for how in (How.LATE, How.RETAINED):
        now = known(said(online=True), said(online=False, minute=9, how=how))
        assert (now.online, now.changed_at, now.witnessed) == (False, NOW + 9 * MINUTE, False)


def test_a_late_will_of_the_former_broker_does_not_end_the_session_with_the_new_one() -> None:
    now = known(said(online=True), said(online=True, broker=B, minute=1), said(online=False, broker=A, minute=2))
    assert (now.online, now.broker, now.changed_at) == (True, B, NOW + MINUTE)
    # Also when both are only learned of afterwards, in any order.
    moved = [
        said(online=True, broker=A, how=How.RETAINED),
        said(online=True, broker=B, how=How.RETAINED),
    ]
    for order in (moved, moved[::-1]):
        assert known(*order, said(online=False, broker=A, minute=3)).online
        assert known(*order, said(online=False, broker=B, minute=3)).online
        assert not known(*order, said(online=False, broker=A), said(online=False, broker=B)).online


def test_what_waited_at_the_former_broker_does_not_end_the_session_with_the_new_one() -> None:
    now = known(
        said(online=True, broker=B, minute=1),
        said(online=True, broker=A, minute=9, how=How.LATE),
        said(online=False, broker=A, minute=9, how=How.LATE),
    )
    assert (now.brokers, now.broker, now.changed_at) == ((B,), B, NOW + MINUTE)


def test_a_gateway_that_comes_to_another_broker_has_left_the_first_one() -> None:
    now = known(said(online=True), said(online=True, broker=B, minute=1), said(online=False, broker=B, minute=2))
    assert (now.brokers, now.online) == ((), False)


def test_of_a_broker_that_was_restarted_what_it_retained_makes_nobody_connected() -> None:
    restarted = Around(caught_until=NOW - MINUTE, started_at=NOW, restarted=True)
    assert merge(None, said(online=True, how=How.RETAINED), restarted) is None
    moved = known(said(online=True, broker=B))
    assert merge(moved, said(online=True, broker=A, how=How.RETAINED), restarted) == moved
    gone_for_good = known(said(online=True, broker=B), said(online=False, broker=B))
    assert merge(gone_for_good, said(online=True, broker=A, how=How.RETAINED), restarted) == gone_for_good
    # What came after the restart waited for us, and counts.
    assert known(said(online=True, how=How.LATE), around=restarted).online


def test_a_session_is_not_older_than_its_broker() -> None:
    started = Around(started_at=NOW + 10 * MINUTE)
    before = known(said(online=True))
    again = known(said(online=True, minute=11), before=before, around=started)
    assert again.changed_at == NOW + 11 * MINUTE
    assert known(said(online=True, minute=12), before=again, around=started).changed_at == NOW + 11 * MINUTE


def test_what_it_said_of_its_clock_counts_when_it_was_heard_at_once() -> None:
    wrong = NOW + timedelta(hours=3)
    now = known(said(online=True, timestamp=wrong))
    assert (now.clock_ahead, now.clock_at) == (timedelta(hours=3), NOW)
    # A will was written when it connected, and what is retained or waited is of some time ago.
    for one in (
        said(online=False, minute=60, timestamp=NOW),
        said(online=True, minute=60, timestamp=NOW, how=How.LATE),
        said(online=True, minute=60, timestamp=NOW, how=How.RETAINED),
    ):
        assert known(one, before=now).clock_ahead == timedelta(hours=3)


def test_its_firmware_stays_until_it_says_another_one() -> None:
    now = known(said(online=True, firmware="1.0"), said(online=False, minute=1), said(online=True, minute=2))
    assert now.firmware == "1.0"
    assert known(said(online=True, firmware="1.1"), before=now).firmware == "1.1"


def test_what_the_broker_knows_nothing_of_is_not_connected_there() -> None:
    now = gone(known(said(online=True)), A, at=NOW + MINUTE)
    assert (now.online, now.changed_at, now.witnessed) == (False, NOW + MINUTE, False)
    both = known(said(online=True, broker=A, how=How.RETAINED), said(online=True, broker=B, how=How.RETAINED))
    assert (gone(both, B, at=NOW).online, gone(both, B, at=NOW).broker) == (True, A)
    left = known(said(online=True), said(online=False))
    assert gone(left, A, at=NOW + MINUTE) == left


anything_said = st.builds(
    Said,
    st.sampled_from([A, B, *(f"broker-{n}" for n in range(3, MAX_BROKERS + 3))]),
    st.just("GW-1"),
    st.booleans(),
    st.just(NOW),
    st.sampled_from(How),
)


@given(st.lists(anything_said, max_size=40))
def test_whatever_is_said_nothing_grows_and_the_last_word_of_a_broker_holds(told: list[Said]) -> None:
    now: Known | None = None
    for n, one in enumerate(told):
        now = merge(now, replace(one, at=NOW + n * MINUTE), Around())
        assert now is not None
        assert len(now.brokers) == len(set(now.brokers)) <= MAX_BROKERS
        assert (one.broker in now.brokers) is one.online
        assert now.broker in {*now.brokers, *(each.broker for each in told[: n + 1])}
        if one.how is How.LIVE and one.online:
            assert now.brokers == (one.broker,)
    if now is not None and told:
        assert now.changed_at <= NOW + (len(told) - 1) * MINUTE


@given(st.lists(anything_said, max_size=20))
def test_what_comes_twice_changes_nothing_the_second_time(told: list[Said]) -> None:
    now: Known | None = None
    for one in told:
        now = merge(now, one, Around())
        assert merge(now, one, Around()) == now
