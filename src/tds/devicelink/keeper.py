"""Keeps what gateways and their wills say of their presence on one broker, in the transactions of the link's batches.

Every batch costs three or four statements, whatever it holds. Rows are locked in the order of their ids, so that the
links of several brokers can't deadlock.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

import psycopg

from tds.devicelink.events import Caught, Changed, Clear, Effect, Event, How, Opened, Said, Tick, Uptime
from tds.devicelink.ignored import Unheeded
from tds.devicelink.presence import Around, Ignored, Known, gone, merge
from tds.devicelink.topics import status_topic

MAX_STRANGERS: Final = 1_000  # connected, of codes that nobody has; full: who comes is not remembered
NOT_THE_SAME_START: Final = timedelta(seconds=30)  # what a broker says of its start is late by ten seconds at most
ROWS_AT_ONCE: Final = 2_500  # of gateways that a broker has nothing of any more
COMMIT_LAG: Final = timedelta(seconds=60)  # a row's own time is at most so much older than its commit, on any clock

_COLUMNS: Final = (
    "gateway_id, online, brokers, broker, changed_at, witnessed, heard_at, firmware, clock_ahead, clock_at,"
    " report_interval"
)
_ARRAYS: Final = (
    "unnest(%s::int8[], %s::bool[], %s::jsonb[], %s::text[], %s::timestamptz[], %s::bool[], %s::timestamptz[],"
    " %s::text[], %s::interval[], %s::timestamptz[], %s::interval[])"
)

Connection = psycopg.Connection[Any]
Handler = Callable[[Connection, Sequence[Any]], Iterable[Effect]]


class _Found(NamedTuple):
    id: int
    retired: bool
    took_over: bool  # the code of a retired one, since the link last heard all, and was not heard here itself


class Keeper:
    """Belongs to one link. What it remembers is the same when a batch is told again, because it was rolled back."""

    def __init__(self, broker: str, unheeded: Unheeded) -> None:
        self.broker = broker
        self.unheeded = unheeded
        self._around = Around()
        self._session_present = False
        self._mentioned: set[int] = set()  # gateways that the broker told of on this connection; 60 bytes each
        self._strangers: dict[str, Said] = {}
        self._tick_at: datetime | None = None
        self._retired_since: datetime | None = None  # whose topics this tick clears …
        self._retired_next: datetime | None = None  # … and the one after it
        self._cleared: dict[int, datetime] = {}  # by which tick

    def handlers(self) -> dict[type[Event], tuple[Handler, ...]]:
        """In the order in which events of one batch have to be told."""
        return {
            Opened: (self.opened,),
            Uptime: (self.uptime,),
            Said: (self.said,),
            Caught: (self.caught,),
            Tick: (self.tick,),
        }

    def opened(self, connection: Connection, events: Sequence[Opened]) -> Iterable[Effect]:
        row = connection.execute(
            "SELECT heard_until, started_at FROM tds_new_brokerlink WHERE broker = %s", (self.broker,)
        ).fetchone()
        self._around = Around(*row) if row else Around()
        self._session_present = events[-1].session_present
        self._mentioned.clear()
        self._strangers.clear()
        caught_until = self._around.caught_until
        self._tick_at = None
        self._retired_next = caught_until - COMMIT_LAG if caught_until else None
        self._cleared.clear()
        return ()

    def uptime(self, connection: Connection, events: Sequence[Uptime]) -> Iterable[Effect]:  # noqa: ARG002  # a handler's signature
        for event in events:
            around = self._around
            known, started_at = around.started_at, event.started_at
            if known is None or started_at < known:
                # What was retained is up to ten seconds old, so that the start seemed later than it was.
                self._around = replace(around, started_at=started_at)
            elif started_at > known + NOT_THE_SAME_START or (
                event.retained and around.caught_until is not None and started_at > around.caught_until
            ):
                self._around = replace(around, started_at=started_at, restarted=self._session_present)
        return ()

    def said(self, connection: Connection, events: Sequence[Said]) -> Iterable[Effect]:
        by_code: dict[str, list[Said]] = {}
        for event in events:
            by_code.setdefault(event.code, []).append(event)
            self._strangers.pop(event.code, None)
        found = self._find(connection, by_code)
        effects: list[Effect] = []
        told: dict[int, list[Said]] = {}
        for code, said in by_code.items():
            gateway = found.get(code)
            if gateway is None:
                effects += self._stranger(code, said)
                continue
            if gateway.retired:
                # Nobody listens to it any more: what is retained of it would stay for ever.
                self.unheeded.note(Ignored.UNKNOWN_GATEWAY, code, len(said), at=said[-1].at)
                effects.append(Clear(status_topic(code)))
                said = [one for one in said if not one.online or one.how is How.LIVE]  # noqa: PLW2901  # the rest of them
            elif gateway.took_over and any(one.how is not How.LIVE for one in said):
                # Nothing tells whether it or the retired one said this.
                said = [one for one in said if one.how is How.LIVE]  # noqa: PLW2901  # the rest of them
                if not said:
                    effects.append(Clear(status_topic(code)))
            if said:
                told[gateway.id] = said
        self._mentioned.update(told)
        return [*effects, *self._merge(connection, told)]

    def caught(self, connection: Connection, events: Sequence[Caught]) -> Iterable[Effect]:
        """What the broker did not tell of, it knows nothing of any more."""
        rows = connection.execute(
            "SELECT gateway_id FROM tds_new_gatewaypresence WHERE brokers @> %s::jsonb ORDER BY 1",
            (json.dumps([self.broker]),),
        )
        missing = iter([gateway_id for (gateway_id,) in rows if gateway_id not in self._mentioned])
        changed: list[Effect] = []
        while ids := list(islice(missing, ROWS_AT_ONCE)):
            before = self._load(connection, ids)
            after = {gateway_id: gone(known, self.broker, at=events[-1].at) for gateway_id, known in before.items()}
            changed += self._write(connection, before, after, events[-1].at)
        return changed

    def tick(self, connection: Connection, events: Sequence[Tick]) -> Iterable[Effect]:
        tick = events[-1]
        effects: list[Effect] = []
        if tick.live:
            effects += self._clear_retired(connection, tick.at)
            self._around = replace(self._around, caught_until=tick.at)
            connection.execute(
                """INSERT INTO tds_new_brokerlink (broker, heard_until, started_at) VALUES (%s, %s, %s)
                   ON CONFLICT (broker) DO UPDATE SET heard_until = EXCLUDED.heard_until,
                       started_at = EXCLUDED.started_at""",
                (self.broker, tick.at, self._around.started_at),
            )
        if not self._strangers:
            return effects
        known = self._find(connection, self._strangers)
        registered = {found.id: [self._strangers[code]] for code, found in known.items() if not found.retired}
        changed = self._merge(connection, registered)
        for code in known:
            del self._strangers[code]
        return [*effects, *changed]

    def _clear_retired(self, connection: Connection, at: datetime) -> Iterable[Effect]:
        """Of who was retired: one that was off then says nothing any more that would have its topic cleared.

        Also when somebody has its code by now, but not once that one was heard here: then it is that one's word.
        """
        if self._tick_at != at:  # else the batch is told again
            self._tick_at, self._retired_since = at, self._retired_next
        since = self._retired_since
        if since is None:  # a broker that was never heard: all that it retained has just been looked at
            self._retired_next = at - COMMIT_LAG
            return ()
        self._cleared = {each: when for each, when in self._cleared.items() if when > since}
        rows = connection.execute(
            """SELECT id, code FROM tds_new_gateway AS g
               WHERE retired_at > %s AND id <> ALL(%s) AND NOT EXISTS (
                   SELECT FROM tds_new_gateway AS next JOIN tds_new_gatewaypresence AS p ON p.gateway_id = next.id
                   WHERE next.code = g.code AND next.retired_at IS NULL AND p.brokers @> %s::jsonb)
               ORDER BY retired_at, id LIMIT %s""",
            (
                since,
                [each for each, when in self._cleared.items() if when != at],
                json.dumps([self.broker]),
                ROWS_AT_ONCE,
            ),
        ).fetchall()
        self._retired_next = since if len(rows) == ROWS_AT_ONCE else max(since, at - COMMIT_LAG)
        self._cleared |= {gateway_id: at for gateway_id, _ in rows}
        return [Clear(status_topic(code)) for code in {code for _, code in rows}]

    def _stranger(self, code: str, said: Sequence[Said]) -> Iterable[Effect]:
        """It may be registered soon: a technician switches it on first."""
        last = said[-1]
        self.unheeded.note(Ignored.UNKNOWN_GATEWAY, code, len(said), at=last.at)
        if not (last.online and last.how is How.LIVE):
            return [Clear(status_topic(code))]
        if len(self._strangers) < MAX_STRANGERS:
            self._strangers[code] = last
        return ()

    def _find(self, connection: Connection, codes: Iterable[str]) -> dict[str, _Found]:
        """The gateway of each code: the one that is not retired, else the one that was last."""
        caught_until = self._around.caught_until
        rows = psycopg.Cursor(connection).execute(
            """SELECT wanted.code, g.id, g.retired,
                   NOT g.retired AND g.created_at > coalesce(%s, '-infinity'::timestamptz)
                   AND EXISTS (SELECT FROM tds_new_gateway WHERE code = wanted.code AND retired_at IS NOT NULL)
                   AND NOT EXISTS (
                       SELECT FROM tds_new_gatewaypresence WHERE gateway_id = g.id AND brokers @> %s::jsonb)
               FROM unnest(%s::text[]) AS wanted (code) CROSS JOIN LATERAL (
                   SELECT id, created_at, retired_at IS NOT NULL AS retired FROM tds_new_gateway
                   WHERE code = wanted.code ORDER BY retired_at DESC NULLS FIRST LIMIT 1) AS g""",
            (caught_until - COMMIT_LAG if caught_until else None, json.dumps([self.broker]), list(codes)),
        )
        return {code: _Found(*found) for code, *found in rows}

    def _merge(self, connection: Connection, told: Mapping[int, Sequence[Said]]) -> list[Effect]:
        if not told:
            return []
        before = self._load(connection, told)
        after: dict[int, Known] = {}
        for gateway_id, said in told.items():
            known = before.get(gateway_id)
            for one in said:
                known = merge(known, one, self._around)
            if known is not None:
                after[gateway_id] = known
        at = max(said[-1].at for said in told.values())
        changed = self._write(connection, before, after, at)
        made = self._insert(connection, before, after)
        changed += [Changed(each, online=True, broker=after[each].broker, at=at) for each in made if after[each].online]
        # Another link, whose broker told of them at the same moment, was faster.
        others = set(after) - set(before) - made
        return changed + (self._merge(connection, {each: told[each] for each in others}) if others else [])

    def _load(self, connection: Connection, ids: Iterable[int]) -> dict[int, Known]:
        """What is known of gateways, locked until the end of the transaction."""
        rows = psycopg.Cursor(connection).execute(
            f"SELECT {_COLUMNS} FROM tds_new_gatewaypresence WHERE gateway_id = ANY(%s) ORDER BY gateway_id FOR UPDATE",  # noqa: S608  # our own words
            (sorted(ids),),
        )
        return {
            gateway_id: Known(tuple(brokers), *others)  # in the order of the columns
            for gateway_id, _online, brokers, *others in rows
        }

    def _write(
        self, connection: Connection, before: Mapping[int, Known], after: Mapping[int, Known], at: datetime
    ) -> list[Effect]:
        """Of those that have a row: what is new."""
        new = {each: known for each, known in after.items() if each in before and known != before[each]}
        if new:
            psycopg.Cursor(connection).execute(
                f"""UPDATE tds_new_gatewaypresence AS p SET online = n.online, brokers = n.brokers, broker = n.broker,
                        changed_at = n.changed_at, witnessed = n.witnessed, heard_at = n.heard_at,
                        firmware = n.firmware, clock_ahead = n.clock_ahead, clock_at = n.clock_at,
                        report_interval = n.report_interval
                    FROM {_ARRAYS} AS n ({_COLUMNS}) WHERE p.gateway_id = n.gateway_id""",  # noqa: S608  # our own words
                _as_arrays(new),
            )
        return [
            Changed(each, known.online, known.broker, at)
            for each, known in new.items()
            if known.online is not before[each].online
        ]

    def _insert(self, connection: Connection, before: Mapping[int, Known], after: Mapping[int, Known]) -> set[int]:
        """Rows for those that have none. Returns whose were made."""
        new = {each: after[each] for each in sorted(after) if each not in before}
        if not new:
            return set()
        rows = psycopg.Cursor(connection).execute(
            f"""INSERT INTO tds_new_gatewaypresence ({_COLUMNS}) SELECT * FROM {_ARRAYS} AS n
                ON CONFLICT (gateway_id) DO NOTHING RETURNING gateway_id""",  # noqa: S608  # our own words
            _as_arrays(new),
        )
        return {gateway_id for (gateway_id,) in rows}


def _as_arrays(rows: Mapping[int, Known]) -> tuple[list[Any], ...]:
    known = rows.values()
    return (
        list(rows),
        [each.online for each in known],
        [json.dumps(each.brokers) for each in known],
        [each.broker for each in known],
        [each.changed_at for each in known],
        [each.witnessed for each in known],
        [each.heard_at for each in known],
        [each.firmware for each in known],
        [each.clock_ahead for each in known],
        [each.clock_at for each in known],
        [each.interval for each in known],
    )
