"""Whose sessions with a broker must end, read from the database. By the gateway's code: it is the broker's client id.

Of how long ago a certificate ended nothing is asked: a session outlives it.
"""

from collections.abc import Collection
from datetime import datetime
from math import log2
from typing import Any, Final

import psycopg

from tds.identity.access.held_back import Held
from tds.identity.access.slow_round import AGAIN_FIRST_S, AGAIN_MAX_S, DRIPS_FOR

# Of a code `g.code`, whoever owned it before: whether there is a certificate that a broker lets in now. As long as no
# list was ever signed brokers go by what they have, and no authority is missed.
_GOOD: Final = """EXISTS (
    SELECT FROM tds_new_gateway AS own JOIN tds_new_certificate AS good ON good.gateway_id = own.id
    WHERE own.code = g.code AND own.status = 'active' AND good.revoked_at IS NULL AND good.listed_in IS NULL
      AND good.not_after > clock_timestamp() AND (good.issuer IN (SELECT issuer FROM tds_new_revocationlist)
                                                  OR NOT EXISTS (SELECT FROM tds_new_revocationlist)))"""
_OTHERWISE: Final = """EXISTS (
    SELECT FROM tds_new_gateway AS own JOIN tds_new_gatewaypassword AS given ON given.gateway_id = own.id
    WHERE own.code = g.code AND own.status = 'active')"""
_MAY_COME_IN: Final = f"({_GOOD} OR (%(passwords)s AND {_OTHERWISE}))"
_REFUSED: Final = "(c.revoked_at IS NOT NULL OR c.listed_in IS NOT NULL OR g.status <> 'active')"
CODES_AT_ONCE: Final = 1_000  # in a statement
# Since when a certificate `c` is refused. Whoever retires a gateway revokes what it has at that moment.
_SINCE: Final = "coalesce(c.revoked_at, c.issued_at)"


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


def moments(age_s: str) -> str:
    """In SQL: how many of the moments at which it is cut again are over, so long after the refusal (a float8).

    They are at AGAIN_FIRST_S, at twice that, and so on until a day is over; from then on one comes each day.
    """
    within_a_day = 1 + int(log2((AGAIN_MAX_S - 1) / AGAIN_FIRST_S))
    return f"""CASE WHEN {age_s} >= {AGAIN_MAX_S} THEN {within_a_day} + floor({age_s} / {AGAIN_MAX_S})
                     WHEN {age_s} < {AGAIN_FIRST_S} THEN 0
                     ELSE 1 + floor(ln({age_s} / {AGAIN_FIRST_S}) / ln(2::float8)) END"""


def beside_good(connection: psycopg.Connection[Any], *, since: datetime, up_to: datetime, passwords: bool) -> list[str]:
    """Codes that may come in beside a refused certificate, and of which such a moment came after `since`."""
    before, after = (moments(f"extract(epoch FROM %({at})s - {_SINCE})::float8") for at in ("since", "up_to"))
    due = _codes(
        connection,
        # First whose moment it is: of very many that is a look at each certificate, and at nothing else.
        f"""WITH due AS MATERIALIZED (
                SELECT c.gateway_id, c.revoked_at, c.listed_in FROM tds_new_certificate AS c
                WHERE c.not_after > %(up_to)s - %(drips_for)s AND {after} > {before})
            SELECT DISTINCT g.code FROM due AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
            WHERE {_REFUSED} ORDER BY 1""",  # noqa: S608
        since=since,
        up_to=up_to,
        drips_for=DRIPS_FOR,
    )
    found = []
    for start in range(0, len(due), CODES_AT_ONCE):
        found += _codes(
            connection,
            f"""SELECT DISTINCT g.code FROM tds_new_gateway AS g
                WHERE g.code = ANY(%(codes)s) AND {_MAY_COME_IN} ORDER BY 1""",  # noqa: S608
            codes=due[start : start + CODES_AT_ONCE],
            passwords=passwords,
        )
    return found


def held(connection: psycopg.Connection[Any], codes: Collection[str], *, passwords: bool) -> list[Held]:
    rows = connection.execute(
        f"""SELECT g.code, bool_or(c.not_after > clock_timestamp() - %(drips_for)s AND {_REFUSED}), {_MAY_COME_IN}
            FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id
            WHERE g.code = ANY(%(codes)s) GROUP BY g.code ORDER BY 1""",  # noqa: S608
        {"codes": list(codes), "passwords": passwords, "drips_for": DRIPS_FOR},
    )
    return [Held(*row) for row in rows]


def _codes(connection: psycopg.Connection[Any], query: str, **values: object) -> list[str]:
    return [code for (code,) in connection.execute(query, values)]
