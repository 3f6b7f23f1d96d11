"""How far the brokers have taken in that a gateway is refused, or let in again."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tds.identity.revocation.taken import Broker, Held, Stage, Taken, taken

SAID: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
LATER: Final = SAID + timedelta(seconds=0.3)


def refusing(held: list[Held], brokers: list[Broker], **revisions: int) -> Taken:
    lists = {name.replace("_", "-"): revision for name, revision in revisions.items()} or {"device-1": 7}
    return taken(held, lists, brokers, admitted=False, changed_at=SAID)


def test_a_gateway_without_a_certificate_has_nobody_to_wait_for() -> None:
    assert refusing([], [Broker("broker", 7, LATER)]).stage is Stage.NO_CERTIFICATE


@pytest.mark.parametrize(
    "held",
    [
        Held("device-0", revoked=False, listed_in=None),  # of an authority that nobody trusts any more
        Held("device-1", revoked=False, listed_in=None, ended=True, fallen_off=True),
    ],
)
def test_a_certificate_that_no_list_will_have_waits_for_a_look_of_each_broker_after_the_word(held: Held) -> None:
    """It lets nobody in. Whoever came in by it may be there still."""

    def refused(*as_of: datetime) -> Taken:
        brokers = [Broker(f"broker-{n}", 0, SAID, moment) for n, moment in enumerate(as_of)]
        return taken([held], {"device-1": 7}, brokers, admitted=False, changed_at=SAID, looked_since=SAID)

    assert refused(LATER, SAID - timedelta(seconds=1)) == Taken(Stage.SPREADING, ("broker-1",))
    assert refused(LATER, LATER) == Taken(Stage.DONE)
    assert refused().stage is Stage.NO_BROKER
    admitted = taken([held], {"device-1": 7}, [], admitted=True, changed_at=SAID, looked_since=SAID)
    assert admitted.stage is Stage.NO_CERTIFICATE


def test_a_certificate_that_ended_of_late_is_listed_like_any_other() -> None:
    """By a clock that is behind the broker lets it in."""
    ended = Held("device-1", revoked=False, listed_in=None, ended=True)
    brokers = [Broker("broker", 7, LATER)]
    assert refusing([ended], brokers).stage is Stage.SIGNING
    assert refusing([ended._replace(listed_in=8)], brokers) == Taken(Stage.SPREADING, ("broker",))
    assert refusing([ended._replace(listed_in=7)], brokers).stage is Stage.DONE


def test_who_has_a_password_waits_for_a_look_of_each_broker_as_well() -> None:
    """Passwords are in no list."""
    held = [Held("device-1", revoked=False, listed_in=7)]
    for certificates in ([], held):
        for as_of, stage in ((SAID - timedelta(seconds=1), Stage.SPREADING), (LATER, Stage.DONE)):
            found = taken(
                certificates,
                {"device-1": 7},
                [Broker("broker", 7, LATER, as_of)],
                admitted=False,
                changed_at=SAID,
                password=True,
                looked_since=SAID,
            )
            assert found.stage is stage


def test_before_the_list_is_signed_it_is_the_workers_turn() -> None:
    held = [Held("device-1", revoked=False, listed_in=7), Held("device-1", revoked=False, listed_in=None)]
    assert refusing(held, [Broker("broker", 7, LATER)]).stage is Stage.SIGNING
    assert taken(held, {}, [], admitted=False, changed_at=SAID).stage is Stage.SIGNING  # no list was ever signed


def test_a_broker_that_is_behind_is_named() -> None:
    held = [Held("device-1", revoked=False, listed_in=7)]
    brokers = [Broker("broker", 7, LATER), Broker("broker-2", 6, SAID), Broker("broker-3", 0, SAID)]
    assert refusing(held, brokers) == Taken(Stage.SPREADING, ("broker-2", "broker-3"))


def test_without_an_agent_nobody_takes_it() -> None:
    assert refusing([Held("device-1", revoked=False, listed_in=7)], []).stage is Stage.NO_BROKER


def test_the_time_is_from_the_word_to_the_last_broker() -> None:
    held = [Held("device-1", revoked=False, listed_in=7)]
    brokers = [Broker("broker", 7, LATER), Broker("broker-2", 7, LATER + timedelta(seconds=1))]
    assert refusing(held, brokers) == Taken(Stage.DONE, after=timedelta(seconds=1.3))


@pytest.mark.parametrize(
    ("broker", "changed_at"),
    [
        (Broker("broker", 8, LATER), SAID),  # it says when it took a later list
        (Broker("broker", 7, SAID - timedelta(seconds=1)), SAID),  # another's clock, or an older word
        (Broker("broker", 7, LATER), None),
    ],
)
def test_a_time_that_is_not_known_is_not_made_up(broker: Broker, changed_at: datetime | None) -> None:
    held = [Held("device-1", revoked=False, listed_in=7)]
    found = taken(held, {"device-1": 8}, [broker], admitted=False, changed_at=changed_at)
    assert found == Taken(Stage.DONE)


def test_an_enabled_gateway_waits_until_the_list_has_it_no_more() -> None:
    def admitting(listed_in: int | None, broker: int) -> Taken:
        held = [Held("device-1", revoked=False, listed_in=listed_in)]
        return taken(held, {"device-1": 9}, [Broker("broker", broker, LATER)], admitted=True, changed_at=SAID)

    assert admitting(7, 8).stage is Stage.SIGNING
    assert admitting(None, 8) == Taken(Stage.SPREADING, ("broker",))
    assert admitting(None, 9) == Taken(Stage.DONE, after=timedelta(seconds=0.3))


def test_a_revoked_certificate_stays_on_the_list_of_an_enabled_gateway() -> None:
    held = [Held("device-1", revoked=True, listed_in=5), Held("device-1", revoked=False, listed_in=None)]
    found = taken(held, {"device-1": 9}, [Broker("broker", 9, LATER)], admitted=True, changed_at=SAID)
    assert found.stage is Stage.DONE
