"""How often a source may try, and that nobody's tries keep another one out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.identity.enrolment.attempts import OF_A_CODE, OF_A_SOURCE, Attempts, Bucket, source_of
from tds.ota_server.log import LINES, FewLines


def tries(attempts: Attempts, source: str, code: str, count: int, now_s: float = 0.0) -> list[float]:
    return [attempts.take(source, code, now_s) for _ in range(count)]


def test_so_many_tries_pass_and_the_next_is_told_how_long_to_wait() -> None:
    attempts = Attempts()
    waits = tries(attempts, "198.51.100.7", "GW-1", OF_A_CODE.tries + 1)
    assert waits == [0.0] * OF_A_CODE.tries + [OF_A_CODE.every_s]


def test_after_that_time_one_more_passes() -> None:
    attempts = Attempts()
    tries(attempts, "198.51.100.7", "GW-1", OF_A_CODE.tries)
    assert tries(attempts, "198.51.100.7", "GW-1", 2, OF_A_CODE.every_s) == [0.0, OF_A_CODE.every_s]


def test_who_waits_is_not_counted_on() -> None:
    attempts = Attempts()
    tries(attempts, "198.51.100.7", "GW-1", 1_000)
    assert attempts.take("198.51.100.7", "GW-1", OF_A_CODE.every_s) == 0.0


def test_guessing_at_a_code_does_not_keep_its_owner_out_who_is_elsewhere() -> None:
    attempts = Attempts()
    tries(attempts, "198.51.100.7", "GW-1", 1_000)
    assert attempts.take("203.0.113.9", "GW-1", 0.0) == 0.0


def test_a_device_with_a_wrong_code_does_not_keep_its_neighbours_behind_one_address_out() -> None:
    attempts = Attempts()
    tries(attempts, "198.51.100.7", "GW-1", 1_000)
    assert attempts.take("198.51.100.7", "GW-2", 0.0) == 0.0


def test_one_source_can_not_try_with_ever_new_codes() -> None:
    attempts = Attempts()
    waits = [attempts.take("198.51.100.7", f"GW-{number}", 0.0) for number in range(OF_A_SOURCE.tries + 1)]
    assert waits == [0.0] * OF_A_SOURCE.tries + [OF_A_SOURCE.every_s]


def test_a_try_that_ended_well_costs_nothing() -> None:
    attempts = Attempts()
    for _ in range(10 * OF_A_SOURCE.tries):
        assert attempts.take("198.51.100.7", "GW-1", 0.0) == 0.0
        attempts.give_back("198.51.100.7", "GW-1")


def test_a_hundred_tries_at_the_same_moment_do_not_all_pass() -> None:
    attempts = Attempts()
    assert tries(attempts, "198.51.100.7", "GW-1", 100).count(0.0) == OF_A_CODE.tries


def test_memory_is_bounded_and_what_is_full_again_is_forgotten() -> None:
    attempts = Attempts(max_remembered=100)
    for number in range(1_000):
        attempts.take(f"198.51.100.{number}", "GW-1", 0.0)
    assert len(attempts) == 100
    assert attempts.forgotten == 1_900
    attempts.take("203.0.113.9", "GW-1", 1_000.0)
    assert len(attempts) == 2


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("12"), st.floats(0, 50)), max_size=100))
def test_a_source_never_gets_more_than_its_rate(steps: list[tuple[str, str, float]]) -> None:
    of_a_source = Bucket(5, 10.0)
    attempts = Attempts(Bucket(3, 10.0), of_a_source)
    now_s, passed = 0.0, dict.fromkeys("ab", 0)
    for source, code, pause_s in steps:
        now_s += pause_s
        passed[source] += attempts.take(source, code, now_s) == 0.0
        assert passed[source] <= of_a_source.tries + now_s / of_a_source.every_s + 1e-9


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
    ],
)
def test_an_ipv6_source_is_its_64_bit_network(address: str, source: str) -> None:
    assert source_of(address) == source


@given(st.text(max_size=60))
def test_any_address_is_some_source(address: str) -> None:
    assert source_of(address)


def test_strangers_can_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    log = FewLines()
    for _ in range(1_000):
        log.say("refused", 10.0)
    assert len(caplog.records) == LINES
    log.say("refused", 100.0)
    assert [record.getMessage() for record in caplog.records[LINES:]] == [
        "970 more refusals were not written down one by one.",
        "refused",
    ]
