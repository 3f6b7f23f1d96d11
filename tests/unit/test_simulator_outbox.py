"""What a simulated gateway owes its broker, and how long it waits."""

import pytest

from tds.simulator.backoff import Backoff
from tds.simulator.message import Kind, Message
from tds.simulator.noise import noise_key
from tds.simulator.outbox import RESEND_WINDOW_S, Outbox, acknowledges


def messages(count: int) -> list[Message]:
    return [Message("D01", at_ms) for at_ms in range(count)]


def send_all(outbox: Outbox, now_s: float, first_id: int = 1) -> list[int]:
    """Sends what there is, with packet ids counted from `first_id`; the moments of what went out."""
    out: list[int] = []
    while (entry := outbox.next_to_send(now_s)) is not None:
        outbox.sent(first_id + len(out), entry)
        out.append(entry.message.at_ms)
    return out


@pytest.mark.parametrize(
    ("reason_code", "is_one"), [(0x00, True), (0x10, False), (0x7F, True), (0x80, False), (0x97, False)]
)
def test_only_a_puback_that_somebody_stands_behind_is_an_acknowledgement(reason_code: int, is_one: bool) -> None:
    assert acknowledges(reason_code) is is_one


def test_messages_go_out_in_order_and_once() -> None:
    outbox = Outbox()
    outbox.put(messages(3))
    assert send_all(outbox, 0) == [0, 1, 2]
    assert send_all(outbox, 0) == []
    assert [outbox.acknowledged(packet_id, 0) for packet_id in (1, 2, 3)] == messages(3)
    assert outbox.is_empty
    assert (outbox.counts.sent, outbox.counts.acknowledged, outbox.counts.resent) == (3, 3, 0)


def test_after_a_cut_what_was_acknowledged_within_the_window_and_what_was_not_is_sent_again() -> None:
    outbox = Outbox()
    outbox.put(messages(4))
    send_all(outbox, 0)
    outbox.acknowledged(1, now_s=0)
    outbox.acknowledged(2, now_s=10)
    outbox.acknowledged(3, now_s=50)
    outbox.connection_lost(now_s=10 + RESEND_WINDOW_S)
    outbox.put([Message("D01", 99)])
    assert send_all(outbox, 101) == [1, 2, 3, 99]
    assert outbox.counts.resent == 3


def test_what_was_resent_counts_as_acknowledged_once() -> None:
    outbox = Outbox()
    outbox.put(messages(1))
    send_all(outbox, 0)
    assert outbox.acknowledged(1, 0) == Message("D01", 0)
    outbox.connection_lost(1)
    assert outbox.unacknowledged() == 0
    send_all(outbox, 2)
    assert outbox.acknowledged(1, 3) is None
    assert outbox.counts.acknowledged == 1


def test_a_second_cut_sends_the_resent_ones_again() -> None:
    outbox = Outbox()
    outbox.put(messages(1))
    for now_s in (0, 60, 120):
        assert send_all(outbox, now_s) == [0]
        outbox.acknowledged(1, now_s)
        outbox.connection_lost(now_s + 1)
    assert send_all(outbox, 180) == [0]


def test_a_refused_message_is_kept_and_sent_again() -> None:
    outbox = Outbox()
    outbox.put(messages(2))
    send_all(outbox, 0)
    assert outbox.refused(1)
    outbox.acknowledged(2, 0)
    assert outbox.unacknowledged() == 1
    assert send_all(outbox, 1) == [0]
    assert (outbox.counts.refused, outbox.counts.acknowledged) == (1, 1)


def test_a_broken_message_that_is_refused_is_let_go() -> None:
    outbox = Outbox()
    outbox.put([Message("D01", 0, Kind.BAD)])
    send_all(outbox, 0)
    outbox.refused(1)
    assert outbox.is_empty


def test_an_unknown_packet_id_changes_nothing() -> None:
    outbox = Outbox()
    assert outbox.acknowledged(7, 0) is None
    assert not outbox.refused(7)
    assert outbox.counts.refused == 0


def test_at_the_limit_the_oldest_goes_and_is_counted() -> None:
    outbox = Outbox(capacity=3)
    outbox.put(messages(5))
    assert send_all(outbox, 0) == [2, 3, 4]
    assert outbox.counts.dropped == 2


def test_what_was_acknowledged_is_never_dropped_to_make_room() -> None:
    outbox = Outbox(capacity=2)
    outbox.put(messages(2))
    send_all(outbox, 0)
    outbox.acknowledged(1, 0)
    outbox.acknowledged(2, 0)
    outbox.connection_lost(1)
    outbox.put([Message("D01", at_ms) for at_ms in (10, 11, 12)])
    assert send_all(outbox, 2) == [0, 1, 11, 12]


def test_when_too_much_is_kept_nothing_new_goes_out_until_the_window_has_passed() -> None:
    outbox = Outbox(kept_capacity=2)
    outbox.put(messages(3))
    assert send_all(outbox, 0) == [0, 1]
    outbox.acknowledged(1, 0)
    outbox.acknowledged(2, 0)
    assert send_all(outbox, RESEND_WINDOW_S) == []
    assert send_all(outbox, RESEND_WINDOW_S + 1) == [2]


def test_a_message_that_never_reached_the_connection_counts_as_unsent() -> None:
    outbox = Outbox()
    outbox.put(messages(2))
    entry = outbox.next_to_send(0)
    assert entry is not None
    outbox.put_back(entry)
    assert outbox.counts.sent == 0
    assert send_all(outbox, 0) == [0, 1]


def test_waits_grow_to_the_limit_with_full_jitter_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(1, 60, noise_key("test"))
    waits = [backoff.after_failure() for _ in range(200)]
    assert all(wait <= limit for wait, limit in zip(waits, [1, 2, 4, 8, 16, 32] + [60] * 194, strict=True))
    assert max(waits) > 50
    assert min(waits[6:]) < 10
    backoff.succeeded()
    assert backoff.after_failure() <= 1


def test_an_outage_of_months_does_not_overflow() -> None:
    backoff = Backoff(1, 60, noise_key("test"))
    for _ in range(5_000):
        assert backoff.after_failure() <= 60
