"""Which certificates run out, and what is said of it."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tds.identity.authorities.own_certificates import Own
from tds.identity.issued.expiry import AUTHORITY_WARNING, DAY, WARNING, End, Outlook, Worry, days_left, end_of, outlook
from tds.identity.issued.findings import Finding, findings, in_use, well

NOW: Final = datetime(2027, 3, 1, 12, tzinfo=UTC)  # next March
MOMENT: Final = timedelta(microseconds=1)
NOBODY: Final = Outlook([], [], [])


@pytest.mark.parametrize(
    ("ends_at", "end"),
    [
        (None, End.NONE),
        (NOW - MOMENT, End.OVER),
        (NOW, End.NEAR),  # RFC 5280: valid up to and with its last moment
        (NOW + WARNING, End.NEAR),
        (NOW + WARNING + MOMENT, End.FAR),
    ],
)
def test_a_certificate_is_near_its_end_from_thirty_days_before_it(ends_at: datetime | None, end: End) -> None:
    assert end_of(ends_at, now=NOW) is end


def test_the_gateways_to_look_after_come_with_the_first_to_end_first() -> None:
    last = [
        Worry("GW-FAR", NOW + 31 * DAY),
        Worry("GW-B", NOW + 2 * DAY),
        Worry("GW-A", NOW + 2 * DAY),
        Worry("GW-OVER", NOW - DAY),
        Worry("GW-OLD", NOW - 400 * DAY),
    ]
    found = outlook(last, ["GW-LEFT"], now=NOW)
    assert [worry.gateway_code for worry in found.over] == ["GW-OLD", "GW-OVER"]
    assert [worry.gateway_code for worry in found.near] == ["GW-A", "GW-B"]
    assert found.left_behind == ["GW-LEFT"]


def test_days_left_are_below_zero_when_it_is_over() -> None:
    assert days_left(NOW + 1.5 * DAY, now=NOW) == 1.5
    assert days_left(NOW - DAY, now=NOW) == -1


def test_all_is_well_in_one_sentence() -> None:
    own = [Own("server", NOW + 200 * DAY), Own("device-1", NOW + 3_000 * DAY), Own("root", NOW + 7_000 * DAY)]
    assert findings(own, NOBODY, now=NOW) == []
    assert well(own) == (
        "No gateway's certificate runs out within 30 days. "
        "Our own: server until 2027-09-17, device-1 until 2035-05-18, root until 2046-04-30."
    )
    assert well([]).endswith(" days. This machine holds none of its own.")


def test_a_server_certificate_that_ran_out_is_urgent_and_comes_first() -> None:
    own = [Own("server", NOW - DAY), Own("device-1", NOW + 100 * DAY)]
    first, second = findings(own, Outlook([], [Worry("GW-1", NOW + DAY)], []), now=NOW)[:2]
    assert first == Finding(
        urgent=True,
        detail="The server certificate ran out on 2027-02-28: no gateway gets in.",
        action="Restart ./tds up, which makes a new one.",
    )
    assert (second.urgent, second.action) == (False, "Run ./tds ca rotate device.")


@pytest.mark.parametrize(
    ("name", "warned_before", "action"),
    [
        ("server", WARNING, "Restart ./tds up"),
        ("service-1", AUTHORITY_WARNING, "Run ./tds ca rotate service."),
        ("device-12", AUTHORITY_WARNING, "Run ./tds ca rotate device."),
        ("root", AUTHORITY_WARNING, "Make a new one in time"),
    ],
)
def test_each_of_our_own_is_told_in_time_to_do_something(name: str, warned_before: timedelta, action: str) -> None:
    assert findings([Own(name, NOW + warned_before + MOMENT)], NOBODY, now=NOW) == []
    [finding] = findings([Own(name, NOW + warned_before)], NOBODY, now=NOW)
    assert not finding.urgent
    assert finding.action.startswith(action)


def test_an_authority_that_was_replaced_may_run_out() -> None:
    own = [Own("device-9", NOW + DAY), Own("device-10", NOW + 3_000 * DAY), Own("service-1", NOW + 3_000 * DAY)]
    assert [each.name for each in in_use(own)] == ["device-10", "service-1"]
    assert [each.name for each in in_use(own[::-1])] == ["service-1", "device-10"]
    assert findings(own, NOBODY, now=NOW) == []


def test_many_gateways_are_a_number_and_the_first_few() -> None:
    near = [Worry(f"GW-{n}", NOW + n * DAY) for n in range(1, 1_235)]
    gateways = Outlook([Worry("GW-X", NOW - DAY)], near, ["GW-L1", "GW-L2"])
    over, left, soon = findings([], gateways, now=NOW)
    assert over.detail == "The certificate ran out of 1 gateway: GW-X (2027-02-28)."
    assert left.detail == "The authority is not trusted any more that certified 2 gateways: GW-L1, GW-L2."
    assert soon.detail == (
        "The certificate runs out within 30 days of 1,234 gateways: "
        "GW-1 (2027-03-02), GW-2 (2027-03-03), GW-3 (2027-03-04) …"
    )
    assert {over.urgent, left.urgent, soon.urgent} == {False}
    assert "./tds claim add CODE" in over.action
