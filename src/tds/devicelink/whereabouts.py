"""On which brokers gateways have a session, for whoever tells them something."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg


@dataclass(frozen=True, slots=True)
class Place:
    """`since`: when the present session began, as far as is known."""

    brokers: tuple[str, ...]
    since: datetime


def of(connection: psycopg.Connection[Any], gateway_ids: Sequence[int]) -> dict[int, Place]:
    """By id, of those that are connected."""
    rows = psycopg.Cursor(connection).execute(
        "SELECT gateway_id, brokers, changed_at FROM tds_new_gatewaypresence WHERE gateway_id = ANY(%s) AND online",
        (list(gateway_ids),),
    )
    return {gateway_id: Place(tuple(brokers), since) for gateway_id, brokers, since in rows}
