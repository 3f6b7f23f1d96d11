"""How far each spool is in the database: written in the transaction of the rows, so nothing is replayed twice."""

from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from tds.ingest.spool import Chunk, Position


class Replayed(NamedTuple):
    """`lost` counts the messages that a damaged disk cost over the life of the spool."""

    position: Position
    lost: int


def read(connection: psycopg.Connection[Any], spool_id: UUID) -> Replayed | None:
    """How far a spool is, or None for one that the database has not heard of."""
    cursor = psycopg.Cursor(connection)
    cursor.execute('SELECT segment, "offset", sequence, lost FROM tds_new_spool WHERE id = %s', (spool_id,))
    row = cursor.fetchone()
    return Replayed(Position(*row[:3]), row[3]) if row else None


def write(connection: psycopg.Connection[Any], spool_id: UUID, consumer: str, chunk: Chunk) -> None:
    """Note that a chunk is in, in the caller's transaction."""
    psycopg.Cursor(connection).execute(
        """INSERT INTO tds_new_spool AS s (id, consumer, segment, "offset", sequence, lost, updated_at)
           VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp())
           ON CONFLICT (id) DO UPDATE SET consumer = EXCLUDED.consumer, segment = EXCLUDED.segment,
               "offset" = EXCLUDED."offset", sequence = EXCLUDED.sequence, lost = s.lost + EXCLUDED.lost,
               updated_at = EXCLUDED.updated_at""",
        (spool_id, consumer, *chunk.end, chunk.lost),
    )
