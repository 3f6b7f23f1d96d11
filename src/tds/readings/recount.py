"""Compares the closed hours with the rows that they were made of."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from tds.readings.dropped import table
from tds.readings.sqlstore import query
from tds.readings.store import Part

MAX_SHOWN: Final = 20  # wrong hours of one partition; more are counted, not listed


class WrongHour(NamedTuple):
    """An hour of a series: how many rows there are, and how many its aggregate says (None: there is no aggregate)."""

    device_id: int
    metric_id: int
    hour: datetime
    rows: int
    aggregated: int | None


def wrong_hours(
    connection: psycopg.Connection[Any], part: Part, devices: Sequence[int] | None
) -> tuple[int, list[WrongHour]]:
    """How many closed clean hours of a part differ, and the first of them; `devices` None: of all."""
    cursor = psycopg.Cursor(connection).execute(
        sql.SQL(query("wrong_hours")).format(part=table(part.name), limit=sql.Literal(MAX_SHOWN)),
        {"start": part.start, "end": part.end, "all": devices is None, "devices": list(devices or ())},
    )
    rows = cursor.fetchall()
    return (rows[0][5] if rows else 0), [WrongHour(*row[:5]) for row in rows]
