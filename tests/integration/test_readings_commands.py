"""`./tds readings`: what a person sees of the store."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from typer import Typer
from typer.testing import CliRunner

from tds import wiring
from tds.ingest.room import Room
from tds.readings import move, timescale
from tds.readings.budget import LONG_AGO, day_of
from tds.readings.costs import Fleet, native_bytes, timescaledb_bytes
from tds.readings_commands import readings_app
from tests import seeding
from tests.seeding import own_connection, without_readings
from tests.timescaledb import afterwards_native

pytestmark = pytest.mark.django_db(transaction=True)

APP: Final = Typer()
APP.add_typer(readings_app, name="readings")


def tds(*words: str) -> Any:
    result = CliRunner().invoke(APP, ["readings", *words], prog_name="tds")
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def stored(transactional_db: None) -> Any:
    """Two hours of a device, closed and aggregated; a value an hour."""
    now = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
    of = seeding.series(seeding.gateway(seeding.tenant("acme"), "GW-1"), "D01", "temperatura", "°C")
    with own_connection() as connection:
        store = wiring.reading_store()
        store.prepare(connection, now=now)
        seeding.store(of, *((now - timedelta(hours=n), float(n)) for n in (3, 4)))
        store.roll_up(connection, now=now)
        yield of, now
        without_readings(connection)
        store.prepare(connection, now=now)


def test_the_store_is_named_and_planned_for(stored: Any) -> None:
    result = tds("store", "--series", "2000", "--interval", "30")
    assert result.exit_code == 0, result.output
    store = wiring.reading_store().name_of(wiring.database_connection())
    assert result.stdout.startswith(f"Store: {store}.")
    assert "2,000 metrics read every 30 s, kept 90 days" in result.stdout
    document = json.loads(tds("store", "--json").stdout)
    assert document["store"] == store
    assert document["plan"]["bytes"] == {
        "native": native_bytes(Fleet(1_000, 60), 90),
        "timescaledb": timescaledb_bytes(Fleet(1_000, 60), 90),
    }


def test_a_bulk_load_shows_after_a_rebuild(stored: Any) -> None:
    of, now = stored
    with own_connection() as connection:
        connection.execute(
            "INSERT INTO tds_new_leituradispositivo VALUES (%s, %s, %s, 50)",
            (*of, now - timedelta(hours=3) + timedelta(seconds=1)),
        )
        since = (now - timedelta(days=2)).strftime("%Y-%m-%d")
        document = json.loads(tds("rebuild-rollups", "--since", since, "--json").stdout)
        assert document["hours_of_series"] == 2
        hours = wiring.reading_store().hours(connection, [of], now - timedelta(days=1), now, zone="UTC")
    assert [hour.maximum for hour in hours] == [4.0, 50.0]


def test_a_span_that_ends_before_it_begins_is_a_sentence(transactional_db: None) -> None:
    result = tds("rebuild-rollups", "--since", "2026-05-02", "--until", "2026-05-01")
    assert (result.exit_code, result.stderr) == (1, "--since is not before --until; nothing would be done.\n")


def test_the_move_by_command(stored: Any) -> None:
    of, now = stored
    with afterwards_native(), own_connection() as connection:
        before = wiring.reading_store().hours(connection, [of], now - timedelta(days=1), now, zone="UTC")
        result = tds("move-to-timescaledb", "--yes")
        assert result.exit_code == 0, result.output
        assert timescale.in_use(connection)
        assert wiring.reading_store().hours(connection, [of], now - timedelta(days=1), now, zone="UTC") == before
        again = tds("move-to-timescaledb", "--yes")
        assert again.exit_code == 1
        assert "in TimescaleDB already" in again.stderr


def test_a_move_that_was_killed_before_its_last_step_is_ended_by_the_same_command(
    stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(_connection: object) -> None:
        raise KeyboardInterrupt

    with afterwards_native(), own_connection() as connection:
        with monkeypatch.context() as patched:
            patched.setattr(move, "clean_up", kill)
            assert tds("move-to-timescaledb", "--yes").exit_code == 130
        back = tds("move-to-timescaledb", "--abort")
        assert (back.exit_code, "can't be taken back" in back.stderr) == (1, True)
        assert "GB of native tables: ./tds readings move-to-timescaledb drops them." in tds("store").stdout
        result = tds("move-to-timescaledb")
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("The readings are in TimescaleDB already. The move was ended before its last ")
        assert move.left_over(connection) is None
        assert "native tables" not in tds("store").stdout


def test_a_move_that_would_leave_too_little_room_on_the_disk_says_so_and_may_be_begun_again(
    stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with afterwards_native(), own_connection() as connection:
        with monkeypatch.context() as patched:
            patched.setattr(wiring, "room", lambda: Room([Path("/")], 2**60))
            result = tds("move-to-timescaledb", "--yes")
        assert result.exit_code == 1
        assert "TDS_DISK_RESERVE_BYTES" in result.stderr
        assert "What is copied stays: make room and begin again, or take the move back with --abort" in result.stderr
        assert not timescale.in_use(connection)
        assert tds("move-to-timescaledb", "--yes").exit_code == 0


def test_without_the_library_the_move_says_how_to_get_it(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timescale, "available", lambda _connection: False)
    result = tds("move-to-timescaledb")
    assert result.exit_code == 1
    assert "install it for this PostgreSQL version" in result.stderr


def test_days_are_dropped_by_a_persons_word_after_a_preview(stored: Any) -> None:
    of, now = stored
    seeding.store(of, (now - timedelta(days=2), 7.0))
    before = f"{now - timedelta(days=1):%Y-%m-%d}"
    preview = tds("drop", "--before", before)
    assert preview.exit_code == 1  # nobody answered
    assert f"{now - timedelta(days=2):%Y-%m-%d}  " in preview.stdout
    assert " MB, of all tenants. They can't be brought back" in preview.stdout
    assert "This leaves less than TDS_RETENTION_MIN_DAYS (7 days)." in preview.stdout
    assert wiring.reading_store().kept_since(wiring.database_connection()) == LONG_AGO
    result = tds("drop", "--before", before, "--yes")
    assert result.exit_code == 0, result.output
    with own_connection() as connection:
        store = wiring.reading_store()
        assert store.kept_since(connection) == day_of(now - timedelta(days=1))
        assert min(part.start for part in store.parts(connection)) >= day_of(now - timedelta(days=1))
        hours = store.hours(connection, [of], now - timedelta(days=5), now, zone="UTC")
    assert [hour.last for hour in hours] == [4.0, 3.0]
    again = tds("drop", "--before", before, "--yes", "--json")
    assert again.exit_code == 1
    assert "nothing to drop" in again.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--before", "2999-01-01", "--yes"), "--before is after today in UTC"),
        (("--before", "2020-01-01", "--json"), "say --yes as well"),
        (("--before", "2020-01-01", "--yes"), "nothing to drop"),
    ],
)
def test_a_drop_that_cannot_be_meant_is_a_sentence(stored: Any, words: tuple[str, ...], sentence: str) -> None:
    result = tds("drop", *words)
    assert result.exit_code == 1
    assert sentence in result.stderr


def test_a_plan_is_the_sum_of_its_rows_and_hours() -> None:
    fleet = Fleet(series=1_000, interval_s=60)
    assert fleet.rows_a_day == 1_440_000
    assert native_bytes(fleet, 90) == pytest.approx(90 * (1_440_000 * 105 + 24_000 * 160))
    assert timescaledb_bytes(fleet, 90) < native_bytes(fleet, 90) / 4
    assert timescaledb_bytes(fleet, 5) == native_bytes(fleet, 5)
