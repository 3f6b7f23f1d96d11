"""What the telemetry gate is told, from readings, quarantine and presence as they are stored."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tds import update_health, wiring
from tds.devicelink.models import GatewayPresence
from tds.fleet.models import Gateway
from tds.ingest.models import QuarantinedMessage
from tds.readings.store import Series
from tds.updates.rollouts.gate import GatewayHealth, Sign, judge, sign_of
from tds.updates.rollouts.limits import STANDARD
from tds.updates.rollouts.rules import Verdict
from tds.updates.rollouts.watching import Watched
from tests import rolling_out, seeding

pytestmark = pytest.mark.django_db(transaction=True)

# Long before all that other tests store.
NOW = datetime(2001, 6, 20, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
OFFERED, SUCCEEDED = NOW - 70 * MINUTE, NOW - HOUR


@pytest.fixture
def connection() -> Iterator[psycopg.Connection]:
    with seeding.own_connection() as own:
        seeding.without_readings(own)
        store = wiring.reading_store()
        for day in range(-9, 2):
            store.prepare(own, now=NOW + day * DAY)
        yield own
        seeding.without_readings(own)


@pytest.fixture
def gateway() -> Gateway:
    [made] = rolling_out.gateways(seeding.tenant("acme"), 1)
    return made


def measured(connection: psycopg.Connection, series: list[Series], start: datetime, end: datetime) -> None:
    """Each ten minutes a message with all of them."""
    times = [start + n * 10 * MINUTE for n in range(int((end - start) / (10 * MINUTE)))]
    seeding.insert(connection, [(each, time, 1.0) for time in times for each in series])


def health(connection: psycopg.Connection, gateway: Gateway, restarts: int | None = 0) -> GatewayHealth:
    wiring.reading_store().roll_up(connection, now=NOW)
    [found] = update_health.health(connection, [Watched(gateway.pk, SUCCEEDED, OFFERED, restarts)], NOW)
    return found


def three(gateway: Gateway) -> list[Series]:
    return [
        seeding.series(gateway, "D1", "tensao", "V"),
        seeding.series(gateway, "D1", "corrente", "A"),
        seeding.series(gateway, "D2", "energia", "kWh"),
    ]


def test_a_gateway_is_compared_with_its_own_week(connection: psycopg.Connection, gateway: Gateway) -> None:
    series = three(gateway)
    measured(connection, series, NOW - 3 * DAY, OFFERED - MINUTE)
    measured(connection, series, SUCCEEDED, NOW)
    found = health(connection, gateway)
    assert found.before.hours >= 69
    assert found.before.messages_an_hour == pytest.approx(12, rel=0.02)  # of two devices
    assert found.before.series_an_hour == pytest.approx(3, rel=0.02)
    assert (found.messages, found.series, found.observed_s) == (12, 3, 3_600)
    assert sign_of(found, STANDARD) is None


def test_one_that_stops_measuring_is_silent_and_one_that_lost_a_device_delivers_less(
    connection: psycopg.Connection, gateway: Gateway
) -> None:
    series = three(gateway)
    measured(connection, series, NOW - 3 * DAY, OFFERED - MINUTE)
    assert sign_of(health(connection, gateway), STANDARD) == Sign.SILENT
    measured(connection, series[2:], SUCCEEDED, NOW)
    found = health(connection, gateway)
    assert (found.messages, found.series) == (6, 1)
    assert sign_of(found, STANDARD) == Sign.FEWER_READINGS


def test_what_was_before_the_week_and_during_the_update_is_not_compared_with(
    connection: psycopg.Connection, gateway: Gateway
) -> None:
    series = three(gateway)
    measured(connection, series, OFFERED - 8 * DAY, OFFERED - 7 * DAY - HOUR)
    measured(connection, series, OFFERED, SUCCEEDED)
    assert health(connection, gateway).before.hours == 0


def test_a_gateway_that_never_measured_has_nothing_to_lose(connection: psycopg.Connection, gateway: Gateway) -> None:
    found = health(connection, gateway)
    assert (found.ever, found.messages, found.before.hours, found.interval_s) == (False, 0, 0, None)
    seeding.series(gateway, "D1", "tensao", "V")
    assert health(connection, gateway).ever


def test_another_gateways_readings_do_not_count(connection: psycopg.Connection, gateway: Gateway) -> None:
    [other] = rolling_out.gateways(gateway.tenant, 1, "OTHER")
    measured(connection, three(other), NOW - DAY, NOW)
    found = health(connection, gateway)
    assert (found.messages, found.before.hours) == (0, 0)


def health_at(connection: psycopg.Connection, gateway: Gateway, observed: timedelta) -> GatewayHealth:
    wiring.reading_store().roll_up(connection, now=NOW)
    [found] = update_health.health(connection, [Watched(gateway.pk, NOW - observed, NOW - observed, 0)], NOW)
    return found


@pytest.mark.parametrize("every_h", [2, 6])
@pytest.mark.parametrize("says_so", [True, False])
def test_a_healthy_gateway_that_sends_rarely_passes_within_the_patience(
    connection: psycopg.Connection, gateway: Gateway, every_h: int, says_so: bool
) -> None:
    one = seeding.series(gateway, "D1", "tensao", "V")
    times = [NOW - n * every_h * HOUR - MINUTE for n in range(8 * 24 // every_h)]
    seeding.insert(connection, [(one, time, 1.0) for time in times])
    if says_so:
        interval = timedelta(hours=every_h)
        GatewayPresence.objects.create(
            gateway=gateway, online=True, broker="b", changed_at=NOW, witnessed=True, report_interval=interval
        )
    for observed_h in range(1, 24):
        judged = judge([health_at(connection, gateway, observed_h * HOUR)], STANDARD)
        assert judged.verdict is not Verdict.FAILED
    judged = judge([health_at(connection, gateway, DAY)], STANDARD)
    assert judged.verdict is Verdict.PASSED
    if every_h == 2:  # after ten hours it is known
        assert judge([health_at(connection, gateway, 11 * HOUR)], STANDARD).good == 1


def test_one_that_sent_every_two_hours_and_stops_is_silent(connection: psycopg.Connection, gateway: Gateway) -> None:
    one = seeding.series(gateway, "D1", "tensao", "V")
    seeding.insert(connection, [(one, NOW - 12 * HOUR - n * 2 * HOUR, 1.0) for n in range(1, 80)])
    assert judge([health_at(connection, gateway, 12 * HOUR)], STANDARD).verdict is Verdict.FAILED


def test_refused_messages_restarts_and_the_interval_are_told(connection: psycopg.Connection, gateway: Gateway) -> None:
    [other] = rolling_out.gateways(gateway.tenant, 1, "OTHER")
    for of, age in ((gateway, MINUTE), (gateway, 2 * MINUTE), (gateway, DAY), (gateway, 65 * MINUTE), (other, MINUTE)):
        QuarantinedMessage.objects.create(
            reason="bad_value", detail="", gateway=of, tenant=of.tenant, payload=b"", received_at=NOW - age
        )
    gateway.running.restarts = 9
    gateway.running.save()
    GatewayPresence.objects.create(
        gateway=gateway, online=True, broker="b", changed_at=NOW, witnessed=True, report_interval=timedelta(seconds=60)
    )
    found = health(connection, gateway, restarts=5)
    assert (found.quarantined, found.restarts, found.interval_s) == (2, 4, 60)
    assert found.before.quarantined == 1  # the one of the day before, and nothing else came then
    assert health(connection, gateway, restarts=None).restarts == 0
    assert wiring.online(connection, [gateway.pk, other.pk]) == {gateway.pk}


def test_three_hundred_gateways_are_looked_at_in_a_moment_over_indexes(
    connection: psycopg.Connection, gateway: Gateway
) -> None:
    made = rolling_out.gateways(gateway.tenant, 300, "MANY")
    for each in made[:20]:
        measured(connection, three(each), NOW - 2 * DAY, NOW)
    wiring.reading_store().roll_up(connection, now=NOW)
    connection.execute("ANALYZE")
    watched = [Watched(each.pk, SUCCEEDED, OFFERED, 0) for each in made]
    began = datetime.now(UTC)
    assert len(update_health.health(connection, watched, NOW)) == 300
    took_s = (datetime.now(UTC) - began).total_seconds()
    print(f"\n{took_s * 1_000:.0f} ms")
    assert took_s < 2
