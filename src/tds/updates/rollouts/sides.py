"""Who stands in for whom, and which of them is out of service for an update: read from the sites as they are now.

Under way is also who was canceled, removed, replaced or timed out with a ticket in its hands: it may be at it, until it
reports anything else, or its ticket ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg

GROUP: Final = "r"  # begins the name of a redundancy group; of a single site it is "s"

_UNDER_WAY: Final = """
    SELECT w.gateway_id, r.one_per_site FROM (
        SELECT gateway_id, rollout_id FROM tds_new_execution
        WHERE gateway_id = ANY(%(near)s) AND offered_at IS NOT NULL AND status IN ('QUEUED', 'IN_PROGRESS')
        UNION ALL
        SELECT e.gateway_id, e.rollout_id FROM tds_new_execution e
            LEFT JOIN tds_new_runningfirmware f ON f.gateway_id = e.gateway_id
        WHERE e.gateway_id = ANY(%(near)s) AND e.ticket_until > %(now)s
          AND e.status IN ('QUEUED', 'TIMED_OUT', 'REMOVED', 'CANCELED')
          AND NOT (e.status = 'QUEUED' AND e.offered_at IS NOT NULL)
          AND NOT coalesce(f.reported_at > coalesce(e.finished_at, e.queued_at)
                           AND (e.heard_at IS NULL OR f.reported_at > e.heard_at), false)
        UNION ALL
        SELECT gateway_id, rollout_id FROM tds_new_execution
        WHERE gateway_id = ANY(%(near)s) AND deadline_at > %(now)s AND status IN ('REMOVED', 'CANCELED')
    ) AS w JOIN tds_new_rollout r ON r.id = w.rollout_id"""

Connection = psycopg.Connection[Any]


@dataclass(slots=True)
class Sides:
    """Of gateways that may be offered a release, and of their neighbours: where each is, and who is under way already.

    Redundancy groups are always one at a time; single sites where one of the two rollouts asks for it.
    """

    of: dict[int, str]
    # By side: gateways that are under way, and whether their rollout asks for one at a time.
    _busy: dict[str, list[tuple[int, bool]]] = field(default_factory=dict)

    def is_free(self, gateway_id: int, *, one_per_site: bool) -> bool:
        side = self.of.get(gateway_id, "")
        return not any(
            other != gateway_id and (side.startswith(GROUP) or one_per_site or asks)
            for other, asks in self._busy.get(side, ())
        )

    def take(self, gateway_id: int, *, one_per_site: bool) -> None:
        if side := self.of.get(gateway_id, ""):
            self._busy.setdefault(side, []).append((gateway_id, one_per_site))


def look(connection: Connection, gateway_ids: Sequence[int], now: datetime) -> Sides:
    """Under the lock of whoever offers. In steps, from the few that are looked at to their neighbours, and to their
    executions: as one statement it is planned as if it were of the whole fleet."""
    placed = connection.execute(
        """SELECT g.id, s.id, s.tenant_id, s.redundancy_group
           FROM tds_new_gateway g JOIN tds_new_site s ON s.id = g.site_id WHERE g.id = ANY(%s)""",
        (list(gateway_ids),),
    ).fetchall()
    if not placed:
        return Sides({})
    of_site = {site_id: f"s{site_id}" for _gateway, site_id, _tenant, group in placed if not group}
    if groups := sorted({(tenant_id, group) for _gateway, _site, tenant_id, group in placed if group}):
        of_site |= _of_groups(connection, groups)
    near = {
        gateway_id: of_site[site_id]
        for gateway_id, site_id in connection.execute(
            "SELECT id, site_id FROM tds_new_gateway WHERE site_id = ANY(%s)", (list(of_site),)
        )
    }
    sides = Sides(near)
    for gateway_id, one_per_site in connection.execute(_UNDER_WAY, {"near": list(near), "now": now}):
        sides.take(gateway_id, one_per_site=one_per_site)
    return sides


def _of_groups(connection: Connection, groups: Sequence[tuple[int, str]]) -> dict[int, str]:
    """All sites of redundancy groups."""
    tenants, names = zip(*groups, strict=True)
    rows = connection.execute(
        """SELECT s.id, s.tenant_id, s.redundancy_group
           FROM unnest(%s::bigint[], %s::text[]) AS a (tenant_id, redundancy_group)
               JOIN tds_new_site s USING (tenant_id, redundancy_group)""",
        (list(tenants), list(names)),
    )
    return {site_id: f"{GROUP}{tenant_id}:{group}" for site_id, tenant_id, group in rows}
