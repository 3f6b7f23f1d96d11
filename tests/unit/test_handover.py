"""Whether a code may go to another tenant: what must be over before."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tds.identity.revocation.handover import SETTLING, Broker, Held, in_the_way
from tds.identity.revocation.in_force import NO_AGENT, NOT_SIGNED, NOT_TAKEN

RETIRED: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
LATER: Final = RETIRED + timedelta(seconds=1)
LISTED: Final = [Held("device-1", 7)]


def way(held: list[Held], *brokers: Broker, trusted: tuple[str, ...] = ("device-1",)) -> str:
    return in_the_way(held, RETIRED, trusted, brokers)


def settled(name: str = "broker", revision: int = 7, as_of: datetime = LATER, detail: str = "") -> Broker:
    return Broker(name, revision, as_of, detail)


def test_a_code_is_free_when_every_broker_has_settled_the_list_with_the_former_certificate() -> None:
    assert way(LISTED, settled(), settled("broker-2", 9)) == ""


def test_a_gateway_that_never_had_a_certificate_holds_nothing_up() -> None:
    assert way([]) == ""
    assert way([], settled(revision=0)) == ""


def test_a_certificate_that_no_list_has_yet_is_waited_for() -> None:
    assert way([*LISTED, Held("device-1", None)], settled()) == NOT_SIGNED
    assert way([Held("device-1", None)], settled(), trusted=()) == NOT_SIGNED


def test_a_certificate_of_an_authority_that_nobody_trusts_holds_nothing_up() -> None:
    assert way([Held("device-0", None)], settled()) == ""


def test_a_broker_that_has_the_list_but_waits_out_connections_of_before_is_waited_for() -> None:
    assert way(LISTED, settled(), settled("broker-2", 6)) == f"broker-2: {SETTLING}"


def test_a_broker_that_is_in_trouble_says_which() -> None:
    assert way(LISTED, settled(revision=6, detail="The broker does not run.")) == "broker: The broker does not run"


def test_a_password_of_the_former_owner_is_waited_for_until_the_broker_looked_again() -> None:
    assert way([], settled(as_of=RETIRED - timedelta(seconds=1))) == f"broker: {NOT_TAKEN}"


def test_without_an_agent_nobody_knows_who_is_let_in() -> None:
    assert way(LISTED) == NO_AGENT
