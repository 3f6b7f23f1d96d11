"""Which store a migration gives a database: by what the server has loaded, what is there, and what was asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tds.local import cluster as local_cluster
from tds.readings import timescale
from tests.consuming import database_url, managed
from tests.running import PASSWORD, ROLE, running_cluster
from tests.seeding import own_connection
from tests.timescaledb import HOW_TO_GET_IT

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
MIGRATION_LIMIT_S: Final = 120.0
NAME: Final = "store_choice"
A_DAY: Final = "FOR VALUES FROM ('2026-02-18T00:00Z') TO ('2026-02-19T00:00Z')"


@pytest.fixture
def needs_timescaledb() -> None:
    with own_connection() as connection:
        if not timescale.available(connection):
            pytest.skip(HOW_TO_GET_IT)


@pytest.fixture
def fresh() -> Iterator[str]:
    """The address of a database of the test's own, without tables."""
    with own_connection() as connection:
        connection.execute(f"CREATE DATABASE {NAME}")
        try:
            yield database_url().rpartition("/")[0] + f"/{NAME}"
        finally:
            # A plain one ends autovacuum and TimescaleDB's own workers; FORCE asks for a right that an owner has not.
            connection.execute(f"DROP DATABASE {NAME}")


def migrate(folder: Path, url: str, store: str, *words: str) -> tuple[int, str]:
    """Its exit status, and what it said of an error."""
    with managed(folder, "migrate", *words, TDS_DATABASE_URL=url, TDS_STORE=store) as process:
        return process.wait(MIGRATION_LIMIT_S), process.errors


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def one_reading(connection: Connection) -> None:
    connection.execute(f"CREATE TABLE of_that_day PARTITION OF tds_new_leituradispositivo {A_DAY}")
    connection.execute("INSERT INTO tds_new_leituradispositivo VALUES (1, 1, '2026-02-18T18:30Z', 21.5)")


def readings(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT device_id, metric_id, value FROM tds_new_leituradispositivo").fetchall()


@pytest.mark.usefixtures("needs_timescaledb")
@pytest.mark.parametrize("store", ["auto", "timescaledb"])
def test_a_new_database_gets_timescaledb_where_the_server_has_loaded_it(fresh: str, tmp_path: Path, store: str) -> None:
    assert migrate(tmp_path, fresh, store) == (0, "")
    with connected(fresh) as connection:
        assert timescale.in_use(connection)
        names = connection.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
        assert ("tds_new_leituradispositivo",) in names
        connection.execute("INSERT INTO tds_new_leituradispositivo VALUES (1, 1, '2026-02-18T18:30Z', 21.5)")
        assert readings(connection) == [(1, 1, 21.5)]
    assert migrate(tmp_path, fresh, store) == (0, "")  # and again, as at every start


@pytest.mark.usefixtures("needs_timescaledb")
@pytest.mark.parametrize("store", ["auto", "timescaledb"])
def test_a_database_that_holds_readings_keeps_the_store_it_has(fresh: str, tmp_path: Path, store: str) -> None:
    assert migrate(tmp_path, fresh, store, "tds_new", "0003") == (0, "")
    with connected(fresh) as connection:
        one_reading(connection)
    assert migrate(tmp_path, fresh, store) == (0, "")
    with connected(fresh) as connection:
        assert not timescale.in_use(connection)
        assert readings(connection) == [(1, 1, 21.5)]
        assert connection.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchall() == []


def test_a_database_stays_native_when_that_was_asked_for(fresh: str, tmp_path: Path) -> None:
    assert migrate(tmp_path, fresh, "native") == (0, "")
    with connected(fresh) as connection:
        assert not timescale.in_use(connection)
        one_reading(connection)


def test_a_server_that_has_not_loaded_timescaledb_says_what_to_do_and_goes_on_when_it_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its files may be there: what counts is what the server loaded when it started.
    monkeypatch.setattr(local_cluster, "has_timescaledb", lambda _programs: False)
    with running_cluster() as without:
        url = f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{without.port}/{ROLE}"
        status, said = migrate(tmp_path, url, "timescaledb")
        assert status == 1
        assert (
            "TDS_STORE is timescaledb, and this PostgreSQL has not loaded it: install TimescaleDB, add it to "
            "shared_preload_libraries and restart the server, or set TDS_STORE to auto."
        ) in said
        assert migrate(tmp_path, url, "auto") == (0, "")
        with connected(url) as connection:
            assert not timescale.in_use(connection)
            one_reading(connection)
