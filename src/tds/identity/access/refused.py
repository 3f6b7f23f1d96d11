"""Whose sessions with a broker must end, read from the database. By the gateway's code: it is the broker's client id.

Of how long ago a certificate ended nothing is asked: a session outlives it.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

# Of a code `g.code`, whoever owned it before: whether there is a certificate that a broker lets in now.
_GOOD: Final = """EXISTS (
    SELECT FROM tds_new_gateway AS own JOIN tds_new_certificate AS good ON good.gateway_id = own.id
    WHERE own.code = g.code AND own.status = 'active' AND good.revoked_at IS NULL AND good.listed_in IS NULL
      AND good.not_after > clock_timestamp() AND good.issuer IN (SELECT issuer FROM tds_new_revocationlist))"""
_OTHERWISE: Final = """EXISTS (
    SELECT FROM tds_new_gateway AS own JOIN tds_new_gatewaypassword AS given ON given.gateway_id = own.id
    WHERE own.code = g.code AND own.status = 'active')"""
_MAY_COME_IN: Final = f"({_GOOD} OR (%(passwords)s AND {_OTHERWISE}))"
_REFUSED: Final = "(c.revoked_at IS NOT NULL OR c.listed_in IS NOT NULL OR g.status <> 'active')"


class Held(NamedTuple):
    """A gateway's code; whether a certificate that has not ended is refused; whether it may come in otherwise."""

    code: str
    refused: bool
    good: bool


class Beside(NamedTuple):
    """A code that may come in, and since when another certificate for it is refused, which has not ended."""

    code: str
    since: datetime


def listed(connection: psycopg.Connection[Any], *, after: int, up_to: int) -> list[str]:
    """The codes that certificates are for which lists have since a revision after `after`; the latest first."""
    return _codes(
        connection,
        """SELECT g.code FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
           WHERE c.listed_in > %(after)s AND c.listed_in <= %(up_to)s
           GROUP BY g.code ORDER BY max(c.listed_in) DESC, g.code""",
        after=after,
        up_to=up_to,
    )


def of_former_authorities(connection: psycopg.Connection[Any]) -> list[str]:
    """Codes with a certificate of an authority that is trusted no more, and no good one: no list will ever have it."""
    return _codes(
        connection,
        f"""SELECT DISTINCT g.code FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
            WHERE c.not_after > clock_timestamp() AND c.issuer NOT IN (SELECT issuer FROM tds_new_revocationlist)
              AND NOT {_GOOD} ORDER BY 1""",  # noqa: S608
    )


def ended(connection: psycopg.Connection[Any], *, since: datetime, up_to: datetime) -> list[str]:
    """Codes with a certificate that ended after `since`, and no good one."""
    return _codes(
        connection,
        f"""SELECT DISTINCT g.code FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
            WHERE c.not_after > %(since)s AND c.not_after <= %(up_to)s AND NOT {_GOOD} ORDER BY 1""",  # noqa: S608
        since=since,
        up_to=up_to,
    )


def without_right(connection: psycopg.Connection[Any], *, after: str, limit: int, passwords: bool) -> list[str]:
    """Codes behind `after` that have certificates and none that is good; `passwords`: one is another way in."""
    return _codes(
        connection,
        f"""SELECT DISTINCT g.code FROM tds_new_gateway AS g
            WHERE g.code > %(after)s AND EXISTS (SELECT FROM tds_new_certificate AS c WHERE c.gateway_id = g.id)
              AND NOT {_MAY_COME_IN} ORDER BY g.code LIMIT %(limit)s""",  # noqa: S608
        after=after,
        limit=limit,
        passwords=passwords,
    )


def beside_good(connection: psycopg.Connection[Any], *, passwords: bool) -> list[Beside]:
    rows = connection.execute(
        f"""SELECT g.code, coalesce(c.revoked_at, g.retired_at, c.issued_at)
            FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
            WHERE c.not_after > clock_timestamp() AND {_REFUSED} AND {_MAY_COME_IN}""",  # noqa: S608
        {"passwords": passwords},
    )
    return [Beside(*row) for row in rows]


def held(connection: psycopg.Connection[Any], codes: Collection[str], *, passwords: bool) -> list[Held]:
    rows = connection.execute(
        f"""SELECT g.code, bool_or(c.not_after > clock_timestamp() AND {_REFUSED}), {_MAY_COME_IN}
            FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
            WHERE g.code = ANY(%(codes)s) GROUP BY g.code ORDER BY 1""",  # noqa: S608
        {"codes": list(codes), "passwords": passwords},
    )
    return [Held(*row) for row in rows]


def _codes(connection: psycopg.Connection[Any], query: str, **values: object) -> list[str]:
    return [code for (code,) in connection.execute(query, values)]
