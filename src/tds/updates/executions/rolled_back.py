"""What is remembered of releases that rolled back: by family and hardware, on how many gateways."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import psycopg

from tds.updates.executions.statuses import OF_A_BAD_IMAGE, Status
from tds.updates.executions.told import Change
from tds.updates.executions.transitions import State

MAX_PLACES: Final = 200  # a release and company: families with hardware; what rolls back on more is not kept

Connection = psycopg.Connection[Any]
Place = tuple[int, str, str]  # release, family, hardware


def remember(connection: Connection, changes: Iterable[Change], at: datetime) -> None:
    """A gateway counts once a release, where its rollout began, and takes back no more than that."""
    changed = list(changes)
    bad = [change for change in changed if _is_bad(change.after) and not _is_bad(change.before)]
    good = [change for change in changed if _is_bad(change.before) and change.after.status is Status.SUCCEEDED]
    for place in sorted(_taken_back(connection, good)):
        connection.execute(
            """UPDATE tds_new_knownbad SET rolled_back = greatest(0, rolled_back - 1)
               WHERE (release_id, family, hardware) = (%s, %s, %s)""",
            place,
        )
    for place, gateway_id, is_new in sorted(_added(connection, bad, at)):
        _count(connection, place, gateway_id, int(is_new), at)


def _added(connection: Connection, bad: Sequence[Change], at: datetime) -> list[tuple[Place, int, bool]]:
    """Where those count, of which gateway, and whether it is the first time of it."""
    once = {(change.row.release_id, change.row.gateway_id): change.row for change in bad}
    if not once:
        return []
    found = psycopg.Cursor(connection).execute(
        """INSERT INTO tds_new_rolledback AS r (release_id, gateway_id, family, hardware, at)
           SELECT release_id, gateway_id, family, hardware, %s
           FROM unnest(%s::int8[], %s::int8[], %s::text[], %s::text[]) AS n (release_id, gateway_id, family, hardware)
           ORDER BY release_id, gateway_id
           ON CONFLICT (release_id, gateway_id) DO UPDATE SET at = EXCLUDED.at
           RETURNING release_id, family, hardware, gateway_id, xmax = 0""",
        (
            at,
            [release_id for release_id, _gateway_id in once],
            [gateway_id for _release_id, gateway_id in once],
            [row.family for row in once.values()],
            [row.hardware for row in once.values()],
        ),
    )
    return [((release_id, family, hardware), *told) for release_id, family, hardware, *told in found]


def _taken_back(connection: Connection, good: Sequence[Change]) -> list[Place]:
    if not good:
        return []
    return (
        psycopg.Cursor(connection)
        .execute(
            """DELETE FROM tds_new_rolledback AS r USING unnest(%s::int8[], %s::int8[]) AS n (release_id, gateway_id)
               WHERE r.release_id = n.release_id AND r.gateway_id = n.gateway_id
               RETURNING r.release_id, r.family, r.hardware""",
            ([change.row.release_id for change in good], [change.row.gateway_id for change in good]),
        )
        .fetchall()
    )


def _count(connection: Connection, place: Place, gateway_id: int, number: int, at: datetime) -> None:
    """`number` 0: again on a gateway that counts already. It is news all the same, where the former was forgiven."""
    release_id, family, hardware = place
    connection.execute(
        """INSERT INTO tds_new_knownbad AS k (release_id, family, hardware, rolled_back, last_at)
           SELECT %(release)s::int8, %(family)s::text, %(hardware)s::text, %(number)s::int4, %(at)s::timestamptz
           WHERE EXISTS (
                   SELECT FROM tds_new_knownbad
                   WHERE (release_id, family, hardware) = (%(release)s::int8, %(family)s::text, %(hardware)s::text))
               OR (SELECT count(DISTINCT (r.family, r.hardware))
                   FROM tds_new_rolledback r JOIN tds_new_gateway g ON g.id = r.gateway_id
                   WHERE r.release_id = %(release)s::int8
                     AND g.tenant_id = (SELECT tenant_id FROM tds_new_gateway WHERE id = %(gateway)s)) <= %(most)s
           ON CONFLICT (release_id, family, hardware) DO UPDATE SET
               rolled_back = k.rolled_back + EXCLUDED.rolled_back, last_at = greatest(k.last_at, EXCLUDED.last_at)""",
        {
            "release": release_id,
            "family": family,
            "hardware": hardware,
            "gateway": gateway_id,
            "number": number,
            "at": at,
            "most": MAX_PLACES,
        },
    )


def _is_bad(state: State) -> bool:
    return state.status is Status.FAILED and state.reason in OF_A_BAD_IMAGE
