"""`tds readings`: the store, its size, and what is to be done with it by hand."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tds.fleet.commands import fail, say
from tds.fleet.counted import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from rich.progress import Progress

    from tds.readings.budget import PartSize
    from tds.readings.store import ReadingStore

readings_app = typer.Typer(no_args_is_help=True, help="Where readings are kept, and how much room they take.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of sentences.")]
DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M"]
MAX_DAYS_SHOWN: Final = 100
DROP_ATTEMPTS: Final = 15  # each waits some two seconds for who is in the way


@readings_app.command("store")
def show_store(
    *,
    series: Annotated[int, typer.Option(min=1, help="Plan for so many metrics of devices …")] = 1_000,
    interval: Annotated[float, typer.Option(min=0.1, help="… each read once in so many seconds.")] = 60.0,
    as_json: Json = False,
) -> None:
    """Say which store is in use, its size, and what a fleet would cost in each store."""
    from tds import wiring
    from tds.readings.costs import Fleet, native_bytes, timescaledb_bytes
    from tds.readings.move import left_over
    from tds.settings import ENV

    store, connection = wiring.reading_store(), wiring.database_connection()
    name = store.name_of(connection)
    rows, size = store.size(connection)
    fleet, days = Fleet(series, interval), ENV.retention_days
    plan = {"native": native_bytes(fleet, days), "timescaledb": timescaledb_bytes(fleet, days)}
    document = {"store": name, "rows": rows, "bytes": size, "bytes_a_row": size / rows if rows else None}
    document |= {"plan": {"series": series, "interval_s": interval, "days": days, "bytes": plan}}
    if as_json:
        typer.echo(json.dumps(document))
        return
    a_row = f", {size / rows:.0f} bytes a row" if rows else ""
    typer.echo(f"Store: {name}. About {rows:,} readings, {size / 1e9:.2f} GB with keys and hours{a_row}.")
    typer.echo(
        f"{series:,} metrics read every {interval:g} s, kept {days} days: {plan['native'] / 1e9:,.1f} GB in the native "
        f"store, {plan['timescaledb'] / 1e9:,.1f} GB in TimescaleDB, which compresses what is older than a week."
    )
    if name == "native":
        typer.echo("Next, where TimescaleDB is installed: ./tds readings move-to-timescaledb")
    if (left_bytes := left_over(connection)) is not None:
        typer.echo(
            f"A move left {left_bytes / 1e9:.2f} GB of native tables: ./tds readings move-to-timescaledb drops them."
        )


@readings_app.command("drop")
def drop(
    *,
    before: Annotated[datetime, typer.Option(formats=DATES[:1], help="Keep this day (UTC) and what is newer.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document; needs --yes.")] = False,
) -> None:
    """Drop whole days of readings of all tenants to make room, also below the minimum of days. There is no way back."""
    from tds import wiring
    from tds.readings import kept
    from tds.readings.budget import day_of
    from tds.settings import ENV

    since, now = before.replace(tzinfo=UTC), datetime.now(UTC)
    if since > day_of(now):
        fail(f"--before is after today in UTC ({now:%Y-%m-%d}); today and what comes is kept.")
    if as_json and not yes:
        fail("--json does not ask; say --yes as well.")
    store = wiring.reading_store()
    with _upkeep() as connection:
        due = [size for size in store.sizes(connection) if size.end <= since]
        if not due:
            fail(f"No readings from before {since:%Y-%m-%d} are kept; nothing to drop.")
        if not as_json:
            _preview(due)
            if since > day_of(now - timedelta(days=ENV.retention_min_days)):
                typer.echo(f"This leaves less than TDS_RETENTION_MIN_DAYS ({ENV.retention_min_days} days).")
        if not yes and not typer.confirm("Drop them?"):
            raise typer.Exit(1)
        if not any(kept.move(connection, since, why="person", now=now) for _ in range(DROP_ATTEMPTS)):
            fail("Batches are being written without a pause; nothing was dropped. Try again.")
        left = _dropped_up_to(store, connection, since, now)
        wiring.disk_watch().take(connection, now)
    waiting = f" {left} more are in use; the worker drops them within ten minutes." if left else ""
    say(
        {"before": since.isoformat(), "days": len(due) - left, "days_left": left},
        f"Dropped {len(due) - left} days. ./tds ledger check counts them as dropped.{waiting}",
        as_json=as_json,
    )


def _preview(due: "Sequence[PartSize]") -> None:
    for size in due[:MAX_DAYS_SHOWN]:
        typer.echo(f"{size.start:%Y-%m-%d}  {size.size_bytes / 1e6:>12,.1f} MB")
    if len(due) > MAX_DAYS_SHOWN:
        typer.echo(f"… up to {due[-1].start:%Y-%m-%d}")
    typer.echo(
        f"{counted(len(due), 'day')}, {sum(size.size_bytes for size in due) / 1e6:,.1f} MB, of all tenants. They can't "
        "be brought back, and readings of these days that still come go into quarantine."
    )


def _dropped_up_to(store: "ReadingStore", connection: "psycopg.Connection[Any]", since: datetime, now: datetime) -> int:
    """Drop what is due now; how many days are still in use by somebody after some tries."""
    left = 0
    for attempt in range(DROP_ATTEMPTS):
        sleep(min(attempt, 1))
        store.expire(connection, now=now)
        left = sum(part.end <= since for part in store.parts(connection))
        if not left:
            break
    return left


@readings_app.command("rebuild-rollups")
def rebuild_rollups(
    *,
    since: Annotated[datetime, typer.Option(formats=DATES, help="From this hour (UTC) on.")],
    until: Annotated[datetime | None, typer.Option(formats=DATES, help="Up to this hour (UTC); default: now.")] = None,
    as_json: Json = False,
) -> None:
    """Aggregate hours anew from the readings: for rows that came by a bulk load or a restore, past ingest."""
    from tds import wiring

    start = since.replace(tzinfo=UTC)
    end = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
    if start >= end:
        fail("--since is not before --until; nothing would be done.")
    store, written = wiring.reading_store(), 0
    with _upkeep() as connection, _bar("Hours", (end - start).total_seconds()) as (bar, task):
        start = max(start, datetime.now(UTC) - wiring.retention() - timedelta(days=1))
        for reached, hours in store.rebuild(connection, start, end):
            written += hours
            bar.update(task, completed=(reached - since.replace(tzinfo=UTC)).total_seconds())
    say(
        {"since": start.isoformat(), "until": end.isoformat(), "hours_of_series": written},
        f"Aggregated {written:,} hours of series anew. Charts show them now.",
        as_json=as_json,
    )


@readings_app.command("move-to-timescaledb")
def move_to_timescaledb(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Take back a move that was begun and not finished.")] = False,
) -> None:
    """Move the readings of the native store into TimescaleDB while all goes on. May be stopped and begun again."""
    from tds import wiring
    from tds.readings import move

    with _upkeep() as connection:
        try:
            if abort:
                move.abort(connection)
                typer.echo("Taken back: the native store is in use, as before.")
                return
            if (left_bytes := move.left_over(connection)) is not None:
                move.clean_up(connection)
                typer.echo(
                    "The readings are in TimescaleDB already. The move was ended before its last step, which is done "
                    f"now: the native tables are dropped, {left_bytes / 1e9:.2f} GB."
                )
                return
            move.check(connection)
        except (move.CannotMoveError, move.StoppedError) as error:
            fail(str(error))
        days = move.days(connection)
        size = sum(day.size_bytes for day in days)
        typer.echo(
            f"{counted(len(days), 'day')}, {size / 1e9:.2f} GB. Until it is done the disk holds both: keep "
            f"{size / 5e9:.2f} GB and two weeks of readings free. Ingest and pages go on; about "
            f"{size / 2e7 / 60:.0f} min."
        )
        if not yes and not typer.confirm("Begin?"):
            raise typer.Exit(1)
        with _bar("Readings", size) as (bar, task):

            def step(what: str, day: move.Day | None) -> None:
                if day is not None:
                    bar.update(task, advance=day.size_bytes)
                bar.update(task, description={"copied": "Readings", "aggregated": "Switching"}.get(what, "Done"))

            try:
                move.move(connection, now=datetime.now(UTC), step=step, shortage=wiring.room().lacks)
            except move.StoppedError as error:
                fail(str(error))
            except move.RowsDifferError as error:
                fail(f"{error} Report it; the platform goes on with the native store.")
    typer.echo("Moved. Charts, ingest and retention use TimescaleDB from now on, without a restart.")


@contextmanager
def _upkeep() -> "Iterator[psycopg.Connection[Any]]":
    from django.conf import settings

    from tds.ingest import database

    timeout_s = database.UPKEEP_TIMEOUT_S
    with database.connect(settings.DATABASES["default"], name="tds-readings", statement_timeout_s=timeout_s) as own:
        yield own


@contextmanager
def _bar(what: str, total: float) -> "Iterator[tuple[Progress, Any]]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar, bar.add_task(what, total=total)
