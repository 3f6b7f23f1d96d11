from threading import Event, Thread
from time import monotonic

import pytest

from tds.mqtt.inbox import TAKEN_BYTES, Delivery, Inbox, Received

SOON_S = 5.0


def packet(n: int, *, qos: int = 1, payload: bytes = b"", topic: str = "") -> Received:
    return Received(topic, payload or str(n).encode(), retain=False, packet_id=n if qos else None)


def packets(*numbers: int) -> list[Received]:
    return [packet(n) for n in numbers]


def ids(delivery: Delivery) -> list[int | None]:
    return [p.packet_id for p in delivery.packets]


def has_room(inbox: Inbox) -> bool:
    return inbox.room  # asked anew: a type checker takes a property for a constant


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(limit_messages=10, limit_bytes=1_000)


def test_messages_come_out_in_the_order_they_came_in(inbox: Inbox) -> None:
    inbox.put(packets(1, 2, 3))
    inbox.put(packets(4))

    assert ids(inbox.take(3, linger_s=0, timeout_s=0)) == [1, 2, 3]
    assert ids(inbox.take(3, linger_s=0, timeout_s=0)) == [4]


def test_an_empty_inbox_gives_nothing_when_the_time_is_up(inbox: Inbox) -> None:
    began = monotonic()

    assert ids(inbox.take(3, linger_s=SOON_S, timeout_s=0.05)) == []
    assert 0.04 < monotonic() - began < 2


def test_a_full_batch_is_not_waited_for(inbox: Inbox) -> None:
    inbox.put(packets(1, 2, 3))
    began = monotonic()

    assert ids(inbox.take(3, linger_s=60, timeout_s=60)) == [1, 2, 3]
    assert monotonic() - began < 2


def test_a_lone_message_is_handed_over_after_the_linger_without_another_arrival(inbox: Inbox) -> None:
    inbox.put(packets(1))
    began = monotonic()

    assert ids(inbox.take(3, linger_s=0.05, timeout_s=60)) == [1]
    assert 0.04 < monotonic() - began < 2


def test_a_waiting_taker_gets_a_message_that_arrives_later(inbox: Inbox) -> None:
    taken: list[Delivery] = []
    taker = Thread(target=lambda: taken.append(inbox.take(1, linger_s=60, timeout_s=SOON_S)))
    taker.start()
    inbox.put(packets(1))
    taker.join(SOON_S)

    assert [ids(delivery) for delivery in taken] == [[1]]


def test_the_batch_that_fills_up_while_somebody_lingers_goes_at_once(inbox: Inbox) -> None:
    inbox.put(packets(1))
    taken: list[Delivery] = []
    done = Event()

    def take() -> None:
        taken.append(inbox.take(3, linger_s=60, timeout_s=60))
        done.set()

    Thread(target=take, daemon=True).start()
    inbox.put(packets(2))
    inbox.put(packets(3, 4))

    assert done.wait(SOON_S)
    assert ids(taken[0]) == [1, 2, 3]


def test_there_is_no_room_at_the_limit_of_messages_and_again_after_a_take(inbox: Inbox) -> None:
    inbox.put(packets(*range(1, 10)))
    assert has_room(inbox)
    inbox.put(packets(10))
    assert not has_room(inbox)

    inbox.take(1, linger_s=0, timeout_s=0)

    assert has_room(inbox)


def test_there_is_no_room_at_the_limit_of_bytes_and_again_after_a_take(inbox: Inbox) -> None:
    inbox.put([packet(1, payload=b"x" * 999)])
    assert has_room(inbox)
    inbox.put([packet(2, payload=b"x")])
    assert not has_room(inbox)

    inbox.take(1, linger_s=0, timeout_s=0)

    assert has_room(inbox)


def test_topics_count_as_bytes(inbox: Inbox) -> None:
    inbox.put([packet(1, topic="t" * 999)])
    assert not has_room(inbox)
    inbox.take(1, linger_s=0, timeout_s=0)
    assert has_room(inbox)


def test_large_messages_make_a_small_delivery_and_the_others_stay_in_their_order() -> None:
    inbox = Inbox(limit_messages=1_000, limit_bytes=2**30)
    inbox.put([packet(n, payload=bytes(TAKEN_BYTES // 4)) for n in range(1, 11)])
    found = [ids(inbox.take(1_000, linger_s=0, timeout_s=0)) for _ in range(5)]
    assert found == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10], [], []]


def test_a_message_larger_than_a_delivery_comes_alone() -> None:
    inbox = Inbox(limit_messages=1_000, limit_bytes=2**30)
    inbox.put([packet(n, payload=bytes(TAKEN_BYTES + 1)) for n in (1, 2)])
    assert [ids(inbox.take(9, linger_s=0, timeout_s=0)) for _ in range(2)] == [[1], [2]]


def test_the_next_connection_forgets_what_the_broker_delivers_again_and_keeps_what_it_does_not(inbox: Inbox) -> None:
    inbox.put([packet(1), packet(2, qos=0), packet(3, payload=b"x" * 1_000)])
    assert not has_room(inbox)

    inbox.next_connection()

    assert has_room(inbox)
    assert inbox.take(9, linger_s=0, timeout_s=0) == Delivery(1, [packet(2, qos=0)])


def test_a_delivery_names_the_connection_it_came_on(inbox: Inbox) -> None:
    inbox.put(packets(1))
    first = inbox.take(1, linger_s=0, timeout_s=0)
    inbox.next_connection()
    inbox.put(packets(1))
    second = inbox.take(1, linger_s=0, timeout_s=0)

    assert (first.connection, second.connection) == (0, 1)


def test_closing_lets_a_waiting_taker_go(inbox: Inbox) -> None:
    taken: list[Delivery] = []
    taker = Thread(target=lambda: taken.append(inbox.take(1, linger_s=60, timeout_s=60)))
    taker.start()
    inbox.close()
    taker.join(SOON_S)

    assert [ids(delivery) for delivery in taken] == [[]]


def test_what_was_received_before_closing_can_still_be_taken(inbox: Inbox) -> None:
    inbox.put(packets(1, 2))
    inbox.close()

    assert ids(inbox.take(9, linger_s=60, timeout_s=60)) == [1, 2]
