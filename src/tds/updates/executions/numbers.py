"""The numbers of tickets (`seq`): a gateway takes none with a lower one than it had.

They follow the clock, in milliseconds: in a database that was restored from an older one the next is still higher than
all that gateways saw meanwhile.
"""

from datetime import datetime
from typing import Any, Final

import psycopg

LOCK: Final = 0x7D5_0032  # between the look at the sequence and its move; a lock for microseconds
MS: Final = 1_000  # a second

Connection = psycopg.Connection[Any]


def draw(connection: Connection, number: int, now: datetime) -> range:
    """So many, one after the other. Higher than all that were drawn before, also by a clock that goes back."""
    # A sequence moves at once and for everybody, so the lock goes with the statement, not with the transaction: those
    # who offer would wait for one another. Each of its steps reads the one before, which is their order.
    row = (
        psycopg.Cursor(connection)
        .execute(
            """WITH locked AS MATERIALIZED (SELECT pg_advisory_lock(%(lock)s)),
                drawn AS MATERIALIZED (
                    SELECT greatest(nextval('tds_new_ticket_seq'), %(floor)s::int8) AS first FROM locked),
                moved AS MATERIALIZED (
                    SELECT first, setval('tds_new_ticket_seq', first + %(number)s::int8 - 1) FROM drawn),
                let_go AS MATERIALIZED (SELECT first, pg_advisory_unlock(%(lock)s) FROM moved)
            SELECT first FROM let_go""",
            {"lock": LOCK, "floor": int(now.timestamp() * MS), "number": number},
        )
        .fetchone()
    )
    if row is None:
        raise RuntimeError("The sequence of ticket numbers gave none.")
    return range(row[0], row[0] + number)
