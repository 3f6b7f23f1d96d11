"""From three facts to what a person should know of a gateway."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from tds.dashboard import gateway_facts
from tds.devicelink import words
from tds.devicelink.health import (
    CLOCK_OFF,
    CONFIRM_WITHIN,
    KEPT,
    LINK_PATIENCE,
    SILENT_AFTER,
    BrokerHeard,
    Counts,
    Facts,
    Health,
    Limits,
    Session,
    Trouble,
    judge,
)
from tds.devicelink.ignored import Strangers
from tds.devicelink.presence import Known

NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
A: Final = "broker"


def presence(*, online: bool = True, since: timedelta = HOUR, **fields: Any) -> Known:
    at = NOW - since
    more: dict[str, Any] = {"witnessed": True, "heard_at": at} | fields
    return Known((A,) if online else (), A, at, **more)


def health(
    known: Known | None = None,
    message: timedelta | None = 30 * SECOND,
    *,
    behind: timedelta = timedelta(0),
    admitted: bool = True,
    started: timedelta | None = DAY,
    heard: timedelta = 5 * SECOND,
    put_out: timedelta | None = None,
) -> Health:
    """Times are ages, but for `behind`: how much older than its arrival the last message's own time is."""
    message_at = NOW - message if message is not None else None
    said_at = message_at - behind if message_at else None
    facts = Facts(admitted, known, message_at, said_at, said_at, NOW - put_out if put_out is not None else None)
    return judge(facts, {A: BrokerHeard(NOW - heard, NOW - started if started is not None else None)}, now=NOW)


def test_a_gateway_that_is_connected_and_sends_is_well() -> None:
    found = health(presence())
    assert (found.session, found.online, found.troubles) == (Session.CONNECTED, True, ())
    assert (found.since, found.message_at, found.reading_at) == (NOW - HOUR, NOW - 30 * SECOND, NOW - 30 * SECOND)
    assert words.notes(found, now=NOW) == []
    assert words.sentence(found, now=NOW) == "Connected with broker since 2026-02-18T17:30:00+00:00 (1 h)."


def test_a_gateway_that_went_is_not_connected() -> None:
    found = health(presence(online=False), HOUR)
    assert (found.session, found.online, found.troubles) == (Session.NOT_CONNECTED, False, ())
    assert words.sentence(found, now=NOW) == "Not connected since 2026-02-18T17:30:00+00:00 (1 h)."


def test_a_time_that_nobody_witnessed_is_said_to_be_the_latest() -> None:
    found = health(presence(online=False, witnessed=False), HOUR)
    assert words.sentence(found, now=NOW) == "Not connected since 2026-02-18T17:30:00+00:00 (1 h or longer)."


def test_a_gateway_of_which_nothing_ever_came_was_never_seen() -> None:
    found = health(None, None)
    assert (found.session, found.online, found.since) == (Session.NEVER, None, None)
    assert words.sentence(found, now=NOW) == "Nothing of it has ever come."


def test_a_gateway_that_never_says_whether_it_is_there_is_known_by_its_messages() -> None:
    found = health(None)
    assert (found.session, found.online, found.troubles) == (Session.UNSAID, None, ())


# Connected, but silent


@pytest.mark.parametrize("message", [SILENT_AFTER + SECOND, DAY, None])
def test_a_gateway_that_is_connected_but_silent_is_visible_as_such(message: timedelta | None) -> None:
    found = health(presence(since=HOUR), message)
    assert (found.session, found.troubles) == (Session.CONNECTED, (Trouble.SILENT,))
    # Since its last message, or since it connected: before that it could not send.
    assert found.silent_since == NOW - min(message or HOUR, HOUR)
    [note] = words.notes(found, now=NOW)
    assert note == f"connected but silent for {words.span(min(message or HOUR, HOUR))}"


@pytest.mark.parametrize(("since", "message"), [(HOUR, SILENT_AFTER), (SILENT_AFTER, DAY), (SILENT_AFTER, None)])
def test_a_gateway_has_time_to_send(since: timedelta, message: timedelta | None) -> None:
    assert health(presence(since=since), message).troubles == ()


def test_a_gateway_that_is_not_connected_is_not_silent_as_well() -> None:
    assert health(presence(online=False, since=DAY), DAY).silent_since is None


@pytest.mark.parametrize(
    ("interval", "silent_after"),
    [(None, SILENT_AFTER), (MINUTE, SILENT_AFTER), (5 * MINUTE, 15 * MINUTE), (HOUR, 3 * HOUR)],
)
def test_whoever_sends_seldom_and_says_so_is_silent_when_it_missed_three_reports(
    interval: timedelta | None, silent_after: timedelta
) -> None:
    on_time = health(presence(since=DAY, interval=interval), silent_after)
    assert (on_time.troubles, on_time.silent_after) == ((), silent_after)
    assert gateway_facts.last_message(on_time, now=NOW).level == gateway_facts.GOOD
    late = health(presence(since=DAY, interval=interval), silent_after + SECOND)
    assert late.troubles == (Trouble.SILENT,)


def test_what_an_operator_calls_silent_is_the_least_for_all() -> None:
    facts = Facts(True, presence(interval=MINUTE), NOW - HOUR, NOW - HOUR, NOW - HOUR)
    heard = {A: BrokerHeard(NOW, NOW - DAY)}
    for silent_after, troubles in ((HOUR, ()), (HOUR - SECOND, (Trouble.SILENT,))):
        found = judge(facts, heard, now=NOW, limits=Limits(silent_after))
        assert (found.troubles, found.silent_after) == (troubles, silent_after)


# Clocks


@pytest.mark.parametrize("ahead", [CLOCK_OFF + SECOND, 3 * HOUR, 400 * DAY])
def test_a_clock_that_is_ahead_is_visible_by_the_messages(ahead: timedelta) -> None:
    for known in (presence(), None):
        found = health(known, behind=-ahead)
        assert (found.troubles, found.clock_off, found.wrong_clock) == ((Trouble.CLOCK_AHEAD,), ahead, True)
        assert words.notes(found, now=NOW) == [f"its clock is {words.span(ahead)} ahead"]


@pytest.mark.parametrize(("ahead", "trouble"), [(3 * HOUR, Trouble.CLOCK_AHEAD), (-3 * HOUR, Trouble.CLOCK_BEHIND)])
def test_a_wrong_clock_is_visible_before_the_first_message(ahead: timedelta, trouble: Trouble) -> None:
    found = health(presence(since=MINUTE, clock_ahead=ahead, clock_at=NOW - MINUTE), None)
    assert (found.troubles, found.clock_off) == ((trouble,), ahead)


def test_old_readings_are_a_clock_or_what_it_has_kept() -> None:
    found = health(presence(), behind=3 * HOUR)
    assert (found.troubles, found.wrong_clock) == ((Trouble.OLD_READINGS,), False)
    assert words.notes(found, now=NOW) == [
        "its readings are 3 h old: its clock is behind, or it sends what it has kept"
    ]


def test_what_it_said_as_it_came_tells_a_clock_that_is_behind_from_old_readings() -> None:
    behind = presence(clock_ahead=-3 * HOUR, clock_at=NOW - HOUR)
    assert health(behind, behind=3 * HOUR).troubles == (Trouble.CLOCK_BEHIND,)
    right = presence(clock_ahead=SECOND, clock_at=NOW - HOUR)
    assert health(right, behind=3 * HOUR).troubles == (Trouble.OLD_READINGS,)


def test_a_clock_of_1970_is_wrong_and_what_it_sends_is_said_to_be_quarantined() -> None:
    behind = NOW - datetime(1970, 1, 1, tzinfo=UTC)
    for known in (None, presence(), presence(clock_ahead=-behind, clock_at=NOW - HOUR)):
        found = health(known, behind=behind)
        assert (found.troubles, found.wrong_clock, found.too_old) == ((Trouble.CLOCK_BEHIND,), True, True)
        assert words.notes(found, now=NOW) == ["its clock is 20502 d behind, and what it sends is quarantined"]
        with translation.override("en"):
            said = gateway_facts.last_reading(found, now=NOW).sentence
        assert "quarantined" in said
        assert "stored" not in said
    # Within what is kept it may be either.
    assert health(presence(), behind=KEPT).troubles == (Trouble.OLD_READINGS,)


def test_a_clock_that_was_set_right_is_right() -> None:
    wrong = presence(clock_ahead=3 * HOUR, clock_at=NOW - HOUR)
    assert health(wrong).troubles == ()
    # It came again with the right time, and its last message is of before.
    right = presence(since=MINUTE, clock_ahead=SECOND, clock_at=NOW - MINUTE)
    assert health(right, 2 * MINUTE, behind=-3 * HOUR).troubles == ()


@pytest.mark.parametrize("behind", [timedelta(0), CLOCK_OFF, -CLOCK_OFF])
def test_a_clock_that_drifts_a_little_is_right(behind: timedelta) -> None:
    assert health(presence(), behind=behind).troubles == ()


# What is not certain


def test_what_a_killed_broker_said_before_is_no_session_until_something_is_heard() -> None:
    """It publishes no wills, and keeps that they are connected."""
    started = HOUR
    before = presence(since=DAY)
    found = health(before, DAY - MINUTE, started=started)
    assert (found.session, found.online, found.uncertain_since) == (Session.UNCERTAIN, None, NOW - DAY + MINUTE)
    assert words.notes(found, now=NOW) == ["whether it is connected is not known since 2026-02-17T18:31:00+00:00"]
    # A message, or a word of its own, since the start.
    assert health(before, 30 * MINUTE, started=started).session is Session.CONNECTED
    assert health(presence(since=DAY, heard_at=NOW - 30 * MINUTE), None, started=started).online
    # They have some minutes to come back.
    assert health(before, DAY - MINUTE, started=CONFIRM_WITHIN - SECOND).online
    # A broker that does not say when it was started.
    assert health(before, DAY - MINUTE, started=None).troubles == (Trouble.SILENT,)


@pytest.mark.parametrize("online", [True, False])
def test_while_nobody_listens_to_the_broker_a_session_is_not_known(online: bool) -> None:
    found = health(presence(online=online, since=DAY), HOUR, heard=LINK_PATIENCE + SECOND)
    assert (found.session, found.uncertain_since) == (Session.UNCERTAIN, NOW - LINK_PATIENCE - SECOND)
    assert health(presence(online=online, since=DAY), HOUR, heard=LINK_PATIENCE).online is online


def test_messages_show_that_it_is_there_also_while_nobody_listens() -> None:
    assert health(presence(since=DAY), MINUTE, heard=DAY).online


def test_a_gateway_that_says_that_it_went_and_sends_is_visible() -> None:
    found = health(presence(online=False, since=HOUR), MINUTE)
    assert found.troubles == (Trouble.NOT_CONNECTED_YET_SENDS,)
    # What was on its way when it went.
    assert health(presence(online=False, since=2 * MINUTE), MINUTE).troubles == ()


def test_a_disabled_gateway_that_is_connected_is_not_well() -> None:
    found = health(presence(), DAY, admitted=False)
    assert (found.online, found.troubles) == (True, (Trouble.DISABLED_YET_CONNECTED,))
    assert health(presence(online=False), DAY, admitted=False).troubles == ()


@pytest.mark.parametrize("put_out", [MINUTE, DAY])
def test_a_gateway_that_was_put_out_is_not_said_to_be_connected_by_what_was_before(put_out: timedelta) -> None:
    found = health(presence(since=2 * DAY), put_out + SECOND, admitted=False, put_out=put_out)
    assert (found.session, found.uncertain_since, found.troubles) == (Session.UNCERTAIN, NOW - put_out, ())
    with translation.override("en"):
        assert "nothing has been heard of it since" in gateway_facts.session(found, now=NOW).sentence
    assert words.notes(found, now=NOW) == [f"put out at {words.moment(NOW - put_out)} and not heard since"]


def test_a_gateway_that_came_or_sent_after_it_was_put_out_is_still_there() -> None:
    came = health(presence(since=MINUTE), DAY, admitted=False, put_out=HOUR)
    sent = health(presence(since=DAY), MINUTE, admitted=False, put_out=HOUR)
    for found in (came, sent):
        assert (found.session, found.troubles) == (Session.CONNECTED, (Trouble.DISABLED_YET_CONNECTED,))


ages = st.timedeltas(timedelta(0), 500 * DAY)
maybe = st.none() | ages


@given(
    st.none() | st.builds(presence, online=st.booleans(), since=ages, clock_ahead=maybe, clock_at=st.just(NOW)),
    maybe,
    st.timedeltas(-500 * DAY, 500 * DAY),
    st.booleans(),
    maybe,
    ages,
)
def test_whatever_the_facts_there_are_words_for_them(  # noqa: PLR0917
    known: Known | None,
    message: timedelta | None,
    behind: timedelta,
    admitted: bool,
    started: timedelta | None,
    heard: timedelta,
) -> None:
    found = health(known, message, behind=behind, admitted=admitted, started=started, heard=heard)
    assert words.sentence(found, now=NOW).endswith(".")
    assert all(note and not note.endswith(".") for note in words.notes(found, now=NOW))
    assert len(found.troubles) == len(set(found.troubles)) <= 2
    # The facts themselves are never changed by what is made of them.
    assert found.message_at == (NOW - message if message is not None else None)
    assert (found.online is None) or known is not None


def test_of_strangers_on_all_brokers_the_last_one_is_told_with_its_time() -> None:
    assert words.strangers([], now=NOW) == ""
    found = [Strangers(2, NOW - HOUR, "GW-A"), Strangers(1_200, NOW - MINUTE, "GW-B")]
    assert words.strangers(found, now=NOW) == (
        "1,202 presence messages of codes that no gateway in use has since the worker's start, the last one 1 min ago "
        "(2026-02-18T18:29:00+00:00) of GW-B."
    )


@pytest.mark.parametrize("told", [None, [], {}, {"strangers": None}, {"strangers": {}}, {"strangers": 3}])
def test_what_a_worker_of_another_version_tells_of_strangers_breaks_nothing(told: Any) -> None:
    assert Strangers.of(told) is None


def test_lengths_are_told_in_one_unit() -> None:
    lengths = [59 * SECOND, MINUTE, 59 * MINUTE, HOUR, 47 * HOUR, 48 * HOUR]
    assert [words.span(length) for length in lengths] == ["59 s", "1 min", "59 min", "1 h", "47 h", "2 d"]
    assert [words.span(-length) for length in lengths] == [words.span(length) for length in lengths]
    assert all(a < b for a, b in pairwise(lengths))


def test_a_fleet_is_told_in_one_line() -> None:
    sessions = Counter({Session.CONNECTED: 9_000, Session.NOT_CONNECTED: 3, Session.NEVER: 1})
    assert words.fleet(Counts(9_004, sessions, 2, 1)) == (
        "9,004 in use: 9,000 connected, 3 not connected, 1 never seen; 2 silent, 1 with a wrong clock."
    )
    assert words.fleet(Counts(1, Counter({Session.CONNECTED: 1}), 0, 0)) == "1 in use: 1 connected."
    assert words.fleet(Counts(0, Counter(), 0, 0)) == "None is registered."
