"""Whether a code may go to another tenant: what must be over before."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tds.identity.access.reached import NEVER
from tds.identity.revocation.handover import (
    COMMITS_WITHIN,
    LOOKS_AGAIN,
    NEVER_LOOKED,
    OWN_BROKERS,
    SETTLING,
    TAKES_IN,
    Broker,
    Held,
    InTheWay,
    in_the_way,
)
from tds.identity.revocation.in_force import NO_AGENT, NOT_SIGNED

SECOND: Final = timedelta(seconds=1)
DAY: Final = timedelta(days=1)
RETIRED: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
LATER: Final = RETIRED + COMMITS_WITHIN
NOW: Final = LATER + 5 * SECOND
FREE: Final = InTheWay()
LISTED: Final = [Held("device-1", 7)]


def way(
    held: list[Held],
    *brokers: Broker,
    trusted: tuple[str, ...] = ("device-1",),
    now: datetime = NOW,
    own_brokers: bool = False,
) -> InTheWay:
    return in_the_way(held, RETIRED, trusted, brokers, now=now, own_brokers=own_brokers)


def broker(
    name: str = "broker",
    settled: int = 7,
    *,
    revision: int | None = None,
    as_of: datetime = LATER,
    detail: str = "",
) -> Broker:
    return Broker(name, settled if revision is None else revision, settled, as_of, detail)


def test_a_code_is_free_when_every_broker_has_settled_the_list_with_the_former_certificate() -> None:
    assert way(LISTED, broker(), broker("broker-2", 9)) == FREE
    assert not FREE


def test_a_gateway_that_never_had_a_certificate_holds_nothing_up() -> None:
    assert way([]) == FREE
    assert way([], broker(settled=0)) == FREE


def test_a_certificate_that_no_list_has_yet_is_waited_for_as_long_as_signing_takes() -> None:
    assert way([*LISTED, Held("device-1", None)], broker()) == InTheWay(NOT_SIGNED)
    assert way([Held("device-1", None)], broker(), trusted=()) == InTheWay(NOT_SIGNED)
    assert way([Held("device-1", None)], broker(), now=NOW + DAY) == InTheWay(NOT_SIGNED, passes=False)


def test_a_certificate_of_an_authority_that_nobody_trusts_holds_nothing_up() -> None:
    assert way([Held("device-0", None)], broker()) == FREE


def test_a_broker_that_has_the_list_but_waits_out_connections_of_before_is_waited_for() -> None:
    waits = broker("broker-2", 6, revision=7)
    assert way(LISTED, broker(), waits) == InTheWay(f"broker-2: {SETTLING}")


def test_a_broker_that_has_not_taken_the_list_yet_is_not_said_to_wait_connections_out() -> None:
    behind = way(LISTED, broker(settled=6))
    assert behind.text == f"broker: {TAKES_IN}"
    assert behind.passes


def test_a_broker_that_is_in_trouble_says_which_and_waiting_does_not_help() -> None:
    troubled = broker(settled=6, detail="The broker does not run.")
    assert way(LISTED, troubled) == InTheWay("broker: The broker does not run", passes=False)
    assert not way(LISTED, troubled, broker("broker-2", 6, revision=7)).passes


@pytest.mark.parametrize("revision", [6, 7])
def test_an_agent_that_is_dead_for_a_month_is_said_to_be_and_not_to_wait_connections_out(revision: int) -> None:
    dead = way(LISTED, broker(settled=6, revision=revision), now=NOW + 30 * DAY)
    assert "for the last time 30 days ago; see that it runs" in dead.text
    assert not dead.passes


def test_an_agent_that_never_said_anything_is_said_to_be_so() -> None:
    """As of a broker that a start made known and whose agent was never started."""
    assert way(LISTED, broker(settled=0, as_of=NEVER)) == InTheWay(f"broker: {NEVER_LOOKED}", passes=False)


def test_a_password_of_the_former_owner_is_waited_for_until_a_look_that_surely_came_after_the_commit() -> None:
    assert way([], broker(as_of=LATER - SECOND)) == InTheWay(f"broker: {LOOKS_AGAIN}")
    assert way([], broker(as_of=LATER)) == FREE
    assert not way([], broker(detail="The broker does not run.")).passes


def test_without_an_agent_nobody_knows_who_is_let_in_and_waiting_does_not_help() -> None:
    assert way(LISTED) == InTheWay(NO_AGENT, passes=False)


@pytest.mark.parametrize("held", [LISTED, []])
def test_brokers_of_somebody_else_are_for_whoever_runs_them_whatever_is_left_of_private_ones(held: list[Held]) -> None:
    own = InTheWay(OWN_BROKERS, passes=False)
    assert way(held, own_brokers=True) == own
    assert way(held, broker(), own_brokers=True, now=NOW + DAY) == own
    assert way(held, broker(), own_brokers=True) == FREE  # another machine's private ones, with an agent there
