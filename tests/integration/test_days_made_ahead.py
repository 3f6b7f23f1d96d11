"""The native store makes a day's place while others read, write and make days too."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

import psycopg
import pytest
from psycopg import errors

from tds.readings import partitions
from tds.readings.partitions import DAY, PartitionStore, partition_name
from tds.readings.sqlstore import TABLE
from tds.readings.store import Series
from tests import seeding
from tests.consuming import STOP_LIMIT_S

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[Any]
# Long before all that other tests store.
NOW: Final = datetime(2002, 6, 10, 12, 30, tzinfo=UTC)
STORE: Final = PartitionStore(3 * DAY)
SERIES: Final = Series(1, 1)
AT_ONCE_S: Final = 10.0  # on a busy machine; who is held up waits until the other ends, or for 30 s


@pytest.fixture
def connection() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        seeding.without_readings(own)
        STORE.prepare(own, now=NOW)
        yield own
        seeding.without_readings(own)
        STORE.expire(own, now=NOW + 60 * DAY)


@pytest.fixture
def other() -> Iterator[Connection]:
    with seeding.own_connection() as own:
        yield own


def days() -> list[str]:
    return [partition_name(NOW + n * DAY) for n in range(4, 7)]


def shape(connection: Connection, table: str) -> list[Any]:
    """Columns, keys and checks of a table, without what is named after it."""
    return connection.execute(
        """SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = %(table)s
           UNION ALL SELECT replace(indexname, %(table)s, ''), split_part(indexdef, ' USING ', 2), ''
           FROM pg_indexes WHERE tablename = %(table)s
           UNION ALL SELECT replace(conname, %(table)s, ''), pg_get_constraintdef(oid), contype::text
           FROM pg_constraint WHERE conrelid = %(table)s::regclass ORDER BY 1, 2""",
        {"table": table},
    ).fetchall()


def test_who_reads_for_long_holds_up_neither_a_new_day_nor_the_writers(
    connection: Connection, other: Connection
) -> None:
    with other.transaction():
        # As a backup, a check of the ledger or a long chart does.
        other.execute(f"LOCK TABLE {TABLE} IN ACCESS SHARE MODE")
        began = monotonic()
        made: list[str] = []
        maker = threading.Thread(target=lambda: made.extend(STORE.prepare(connection, now=NOW + 3 * DAY)))
        maker.start()
        with seeding.own_connection() as writer:
            for n in range(20):
                seeding.insert(writer, [(SERIES, NOW + n * timedelta(seconds=1), 1.0)])
        maker.join(STOP_LIMIT_S)
        assert made == days()
        seeding.insert(connection, [(SERIES, NOW + 5 * DAY, 1.0)])
        assert monotonic() - began < AT_ONCE_S


def test_who_writes_for_long_holds_up_no_new_day(connection: Connection, other: Connection) -> None:
    with other.transaction():
        other.execute(f"LOCK TABLE {TABLE} IN ROW EXCLUSIVE MODE")
        began = monotonic()
        assert STORE.prepare(connection, now=NOW + 3 * DAY) == days()
        assert monotonic() - began < AT_ONCE_S


def test_a_day_is_like_one_that_postgresql_makes_itself(connection: Connection) -> None:
    connection.execute(f"CREATE TABLE as_usual PARTITION OF {TABLE} FOR VALUES FROM ('2002-01-01') TO ('2002-01-02')")
    try:
        usual = shape(connection, "as_usual")
    finally:
        connection.execute("DROP TABLE as_usual")
    assert len(usual) == 4 + 2 + 1
    assert shape(connection, partition_name(NOW)) == usual
    # And its keys are parts of the whole's: a key that is added or dropped there is here as well.
    found = connection.execute(
        """SELECT count(*) FROM pg_index AS i JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid
           WHERE i.indrelid = %s::regclass""",
        (partition_name(NOW),),
    ).fetchone()
    assert found == (2,)


def test_a_day_made_in_a_callers_transaction_is_left_to_it_by_the_others(
    connection: Connection, other: Connection
) -> None:
    """As the consumer does that stores what its spool holds."""
    later = NOW + 3 * DAY
    made: list[str] = []
    failures: list[BaseException] = []

    def make() -> None:
        try:
            made.extend(STORE.prepare(other, now=later))
        except psycopg.Error as error:
            failures.append(error)

    maker = threading.Thread(target=make)
    with connection.transaction():
        assert STORE.prepare(connection, now=later) == days()
        seeding.insert(connection, [(SERIES, NOW + 6 * DAY, 1.0)])
        maker.start()
        maker.join(0.3)
        assert maker.is_alive()
    maker.join(STOP_LIMIT_S)
    assert (failures, made) == ([], [])
    seeding.insert(other, [(SERIES, NOW + 6 * DAY + timedelta(seconds=1), 1.0)])


def test_a_day_whose_maker_gave_up_is_made_by_the_next(connection: Connection, other: Connection) -> None:
    later = NOW + 3 * DAY
    made: list[str] = []
    maker = threading.Thread(target=lambda: made.extend(STORE.prepare(other, now=later)))
    with connection.transaction(force_rollback=True):
        STORE.prepare(connection, now=later)
        maker.start()
        maker.join(0.3)
    maker.join(STOP_LIMIT_S)
    assert made == days()


def test_it_gives_up_soon_when_all_readings_are_being_changed_and_leaves_nothing_half_made(
    connection: Connection, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "ATTACH_PATIENCE_MS", 200)
    later = NOW + 3 * DAY
    connection.execute("SET lock_timeout = '25s'")
    with other.transaction():
        other.execute(f"LOCK TABLE {TABLE} IN SHARE UPDATE EXCLUSIVE MODE")  # an ANALYZE
        with pytest.raises(errors.LockNotAvailable), connection.transaction():
            STORE.prepare(connection, now=later)
        seeding.insert(connection, [(SERIES, NOW, 1.0)])
        assert connection.execute("SELECT to_regclass(%s)", (days()[0],)).fetchone() == (None,)
    with connection.transaction():
        assert STORE.prepare(connection, now=later) == days()
        # The caller's statements wait as long as they did.
        assert connection.execute("SHOW lock_timeout").fetchone() == ("25s",)
    assert connection.execute("SHOW lock_timeout").fetchone() == ("25s",)


def test_a_table_of_a_days_name_that_is_no_part_is_somebodys_own(connection: Connection) -> None:
    """As a day that was detached to be kept elsewhere: the others are made."""
    connection.execute(f"CREATE TABLE {days()[1]} (what text)")
    try:
        assert STORE.prepare(connection, now=NOW + 3 * DAY) == [days()[0], days()[2]]
        assert STORE.prepare(connection, now=NOW + 3 * DAY) == []
    finally:
        connection.execute(f"DROP TABLE {days()[1]}")
    assert STORE.prepare(connection, now=NOW + 3 * DAY) == [days()[1]]
