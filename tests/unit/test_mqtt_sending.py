"""What is published over a session until it is acknowledged: ids, places, and what is said when no answer comes."""

import threading
from time import monotonic

import pytest

from tds.mqtt import sending
from tds.mqtt.sending import FIRST_ID, LAST_ID, MAX_UNDER_WAY, SendError, Sending


def soon() -> float:
    return monotonic() + 5


def opened(receive_maximum: int = 65_535) -> Sending:
    made = Sending()
    made.opened(7, receive_maximum)
    return made


def test_an_answer_goes_to_whoever_waits_for_it() -> None:
    ours = opened()
    first, connection = ours.begin(soon())
    second, _ = ours.begin(soon())
    ours.answered(second, 0x10)
    ours.answered(first, 0)
    ours.answered(LAST_ID, 0x80)  # nobody's
    assert connection == 7
    assert (ours.result(first, soon()), ours.result(second, soon())) == (0, 0x10)


def test_without_a_connection_nothing_is_sent() -> None:
    with pytest.raises(SendError, match="The broker is away"):
        Sending().begin(monotonic())


def test_no_more_is_under_way_than_the_broker_takes() -> None:
    for receive_maximum, room in ((65_535, MAX_UNDER_WAY), (20, 19), (1, 1)):
        ours = opened(receive_maximum)
        begun = [ours.begin(soon())[0] for _ in range(room)]
        with pytest.raises(SendError, match="takes no more messages now"):
            ours.begin(monotonic())
        ours.answered(begun[0], 0)
        ours.result(begun[0], soon())
        assert ours.begin(soon())


def test_a_place_that_comes_free_is_given_to_who_waits() -> None:
    ours = opened(2)
    packet_id, _ = ours.begin(soon())
    timer = threading.Timer(0.05, ours.abandon, [packet_id])
    timer.start()
    assert ours.begin(soon())
    timer.join()


def test_a_lost_connection_ends_the_wait_of_all() -> None:
    ours = opened()
    packet_id, _ = ours.begin(soon())
    timer = threading.Timer(0.05, ours.closed)
    timer.start()
    with pytest.raises(SendError, match="connection was lost before the broker acknowledged"):
        ours.result(packet_id, soon())
    timer.join()
    # Its late answer on the next connection is nobody's.
    ours.opened(8, 65_535)
    ours.answered(packet_id, 0)
    assert ours.begin(soon())[1] == 8


def test_an_answer_that_does_not_come_in_time_leaves_its_place() -> None:
    ours = opened(2)
    packet_id, _ = ours.begin(soon())
    with pytest.raises(SendError, match="did not acknowledge the message in time"):
        ours.result(packet_id, monotonic())
    assert ours.begin(soon())


def test_no_id_is_used_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LAST_ID", FIRST_ID + 3)
    ours = opened()
    kept, _ = ours.begin(soon())
    seen = []
    for _ in range(9):
        packet_id, _ = ours.begin(soon())
        seen.append(packet_id)
        ours.abandon(packet_id)
    assert kept == FIRST_ID
    assert set(seen) == {FIRST_ID + 1, FIRST_ID + 2, FIRST_ID + 3}
