"""How far a broker is: what is written down of it, for whoever waits until a gateway is cut off."""

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import psycopg

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_DETAIL_CHARS: Final = 500


class Reached(NamedTuple):
    """See BrokerAccess."""

    revision: int = 0
    settled: int = 0
    as_of: datetime = NEVER


def clock_of(connection: psycopg.Connection[Any]) -> datetime:
    """The database's clock: one for all who compare moments of commits."""
    moment: datetime
    [(moment,)] = connection.execute("SELECT clock_timestamp()").fetchall()
    return moment


def read(connection: psycopg.Connection[Any], broker: str) -> Reached:
    row = connection.execute(
        "SELECT revision, settled, as_of FROM tds_new_brokeraccess WHERE broker = %s", (broker,)
    ).fetchone()
    return Reached(*row) if row else Reached()


def write(connection: psycopg.Connection[Any], broker: str, reached: Reached) -> None:
    """That the broker goes by what the database said at `as_of`."""
    connection.execute(
        """INSERT INTO tds_new_brokeraccess AS known (broker, revision, settled, applied_at, as_of, detail)
           VALUES (%s, %s, %s, clock_timestamp(), %s, '')
           ON CONFLICT (broker) DO UPDATE SET revision = EXCLUDED.revision, settled = EXCLUDED.settled,
               as_of = EXCLUDED.as_of, detail = '', applied_at = CASE
                   WHEN known.revision = EXCLUDED.revision THEN known.applied_at ELSE EXCLUDED.applied_at END""",
        (broker, *reached),
    )


def settle(connection: psycopg.Connection[Any], broker: str, unsettled: int | None) -> None:
    """Up to before this revision; None: all that it has."""
    connection.execute(
        """UPDATE tds_new_brokeraccess SET settled = least(revision, %(up_to)s::bigint)
           WHERE broker = %(broker)s AND settled <> least(revision, %(up_to)s::bigint)""",
        {"broker": broker, "up_to": None if unsettled is None else max(0, unsettled - 1)},
    )


def write_trouble(connection: psycopg.Connection[Any], broker: str, trouble: str) -> None:
    """Why it is not further."""
    connection.execute(
        """INSERT INTO tds_new_brokeraccess (broker, revision, settled, applied_at, as_of, detail)
           VALUES (%(broker)s, 0, 0, %(never)s, %(never)s, %(detail)s)
           ON CONFLICT (broker) DO UPDATE SET detail = EXCLUDED.detail""",
        {"broker": broker, "never": NEVER, "detail": trouble[:MAX_DETAIL_CHARS]},
    )


def expect(connection: psycopg.Connection[Any], brokers: list[str]) -> None:
    """There are these: whoever waits until all are up to date waits for them too, before their agent said anything."""
    connection.execute(
        """INSERT INTO tds_new_brokeraccess (broker, revision, settled, applied_at, as_of, detail)
           SELECT broker, 0, 0, %(never)s, %(never)s, '' FROM unnest(%(brokers)s::text[]) AS broker
           ON CONFLICT (broker) DO NOTHING""",
        {"brokers": brokers, "never": NEVER},
    )


def forget_others(connection: psycopg.Connection[Any], brokers: list[str]) -> None:
    """Of a machine that runs these brokers alone: nobody is to wait for one that it ran before."""
    connection.execute("DELETE FROM tds_new_brokeraccess WHERE broker <> ALL(%s)", (brokers,))
