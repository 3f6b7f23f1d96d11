"""How many executions of a wave stand where. The words are those of counts.sql, which keeps the counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import psycopg


@dataclass(frozen=True, slots=True)
class Counts:
    """`waiting`: not offered yet. `offered`: it has said nothing yet. `lost`: silent since it began to install.
    `accepted`: in spite of which a person went on. `unknown`: canceled or removed since it began to install, and what
    it runs is not known yet."""

    waiting: int = 0
    offered: int = 0
    in_progress: int = 0
    succeeded: int = 0
    failed: int = 0
    rolled_back: int = 0
    timed_out: int = 0
    lost: int = 0
    rejected: int = 0
    accepted: int = 0
    removed: int = 0
    canceled: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, name) for name in KINDS)

    @property
    def open(self) -> int:
        return self.waiting + self.offered + self.in_progress

    @property
    def under_way(self) -> int:
        """What the limit of concurrency counts."""
        return self.offered + self.in_progress

    @property
    def bad(self) -> int:
        """Failed, rolled back and timed out."""
        return self.failed + self.rolled_back + self.timed_out + self.lost

    @property
    def finished(self) -> int:
        return self.succeeded + self.rejected + self.bad

    @property
    def judged(self) -> int:
        """Of whom success is asked: not of those that were taken out, nor of what was accepted."""
        return self.open + self.unknown + self.finished

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in KINDS})


KINDS = tuple(field.name for field in fields(Counts))


_KEPT: Final = """SELECT rollout_id, kind, executions FROM tds_new_wavecount
    UNION ALL SELECT rollout_id, kind, executions FROM tds_new_wavecountchange"""


def of(connection: psycopg.Connection[Any], rollout_ids: Sequence[int]) -> dict[int, dict[int, Counts]]:
    """By rollout and number of the wave; a wave without executions is not in it. As many rows as there are counts."""
    rows = connection.execute(
        """SELECT rollout_id, wave, kind, sum(executions)::bigint FROM (
               SELECT rollout_id, wave, kind, executions FROM tds_new_wavecount WHERE rollout_id = ANY(%(ids)s)
               UNION ALL
               SELECT rollout_id, wave, kind, executions FROM tds_new_wavecountchange WHERE rollout_id = ANY(%(ids)s)
           ) AS counted GROUP BY 1, 2, 3""",
        {"ids": list(rollout_ids)},
    ).fetchall()
    return _gathered(rows)


def of_all(connection: psycopg.Connection[Any]) -> Counts:
    """Of all rollouts that there ever were."""
    rows = connection.execute(f"SELECT kind, sum(executions)::bigint FROM ({_KEPT}) AS counted GROUP BY 1")  # noqa: S608  # our own words
    return Counts(**dict(rows.fetchall()))


def having(connection: psycopg.Connection[Any], kind: str) -> list[int]:
    """Rollouts with executions of that kind."""
    rows = connection.execute(
        f"""SELECT rollout_id FROM ({_KEPT}) AS counted WHERE kind = %s
            GROUP BY 1 HAVING sum(executions) > 0 ORDER BY 1""",  # noqa: S608  # our own words
        (kind,),
    )
    return [rollout_id for (rollout_id,) in rows]


def fold(connection: psycopg.Connection[Any]) -> None:
    """Add the log of changes to the counts, so that it stays short. Restartable: one statement."""
    connection.execute(
        """WITH taken AS (DELETE FROM tds_new_wavecountchange RETURNING rollout_id, wave, kind, executions),
                net AS (SELECT rollout_id, wave, kind, sum(executions) AS executions FROM taken GROUP BY 1, 2, 3)
           INSERT INTO tds_new_wavecount (rollout_id, wave, kind, executions)
           SELECT rollout_id, wave, kind, executions FROM net
           WHERE executions <> 0 AND EXISTS (SELECT FROM tds_new_rollout WHERE id = rollout_id)
           ORDER BY 1, 2, 3
           ON CONFLICT (rollout_id, wave, kind)
           DO UPDATE SET executions = tds_new_wavecount.executions + excluded.executions"""
    )


def total(of_waves: Iterable[Counts]) -> Counts:
    return sum(of_waves, Counts())


def _gathered(rows: Iterable[tuple[Any, ...]]) -> dict[int, dict[int, Counts]]:
    found: dict[int, dict[int, dict[str, int]]] = {}
    for rollout_id, wave, kind, executions in rows:
        found.setdefault(rollout_id, {}).setdefault(wave, {})[kind] = executions
    return {
        rollout_id: {wave: Counts(**kinds) for wave, kinds in sorted(waves.items())}
        for rollout_id, waves in found.items()
    }
