"""Whose sessions with a broker must end, read from the database."""

from collections.abc import Collection
from typing import Any, NamedTuple

import psycopg

from tds.identity.revocation.listed import KEPT_AFTER_END  # a session can outlive its certificate


class Held(NamedTuple):
    """A gateway's code, whether any certificate for it is refused now, and whether another one is good."""

    code: str
    refused: bool
    good: bool


def listed(connection: psycopg.Connection[Any], *, after: int, up_to: int) -> list[str]:
    """The codes that certificates are for which lists have since a revision after `after`."""
    rows = connection.execute(
        """SELECT DISTINCT g.code FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
           WHERE c.listed_in > %s AND c.listed_in <= %s AND c.not_after > clock_timestamp() - %s ORDER BY 1""",
        (after, up_to, KEPT_AFTER_END),
    )
    return [code for (code,) in rows]


def of_former_authorities(connection: psycopg.Connection[Any]) -> list[str]:
    """Codes whose every certificate is of an authority that is trusted no more: no list will ever have those."""
    rows = connection.execute(
        """SELECT g.code FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
           WHERE c.not_after > clock_timestamp() GROUP BY g.code
           HAVING bool_and(c.issuer NOT IN (SELECT issuer FROM tds_new_revocationlist)) ORDER BY 1"""
    )
    return [code for (code,) in rows]


def held(connection: psycopg.Connection[Any], codes: Collection[str]) -> list[Held]:
    rows = connection.execute(
        """SELECT g.code, bool_or(c.listed_in IS NOT NULL),
                  bool_or(c.listed_in IS NULL AND c.revoked_at IS NULL AND g.status = 'active'
                          AND c.not_after > clock_timestamp())
           FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
           WHERE g.code = ANY(%s) AND c.not_after > clock_timestamp() - %s GROUP BY g.code ORDER BY 1""",
        (list(codes), KEPT_AFTER_END),
    )
    return [Held(*row) for row in rows]
