"""`tds ledger`: what became of every message and reading, and whether the numbers agree with the rows."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import psycopg
import typer

from tds.fleet.commands import Json, database_failure, find_tenant
from tds.fleet.counted import counted
from tds.ingest.ledger import FIELDS, SPANS, SUMS, Totals

ledger_app = typer.Typer(help="What became of every message and reading, and whether that agrees with the rows.")

MAX_ROWS_SHOWN: Final = 5_000  # more: the newest, and a sentence; the totals are of all
DEFAULT_SPAN: Final = {"hour": timedelta(hours=24), "day": timedelta(days=30)}
NOT_CHECKED: Final = 2  # the exit code; 1 is a difference
SPAN: Final = re.compile(r"(\d{1,5})([hd])")

Since = Annotated[str, typer.Option(metavar="WHEN", help="From then on: 24h, 7d, 2026-02-18 or 2026-02-18T15:00Z.")]


class By(StrEnum):
    HOUR = "hour"
    DAY = "day"


def main(context: typer.Context) -> None:
    """`tds ledger` alone."""
    if context.invoked_subcommand is None:
        show(tenant="", since="", until="", by=By.HOUR, as_json=False)


@ledger_app.command()
def show(
    *,
    tenant: Annotated[str, typer.Option(metavar="SLUG", help="Only this tenant's; - for what is nobody's.")] = "",
    since: Since = "",
    until: Annotated[str, typer.Option(metavar="WHEN", help="Up to before then, in the same forms.")] = "",
    by: Annotated[By, typer.Option(help="A line an hour or a day of reception, in UTC; old hours are kept by day.")] = (
        By.HOUR
    ),
    as_json: Json = False,
) -> None:
    """Print the ledger by tenant and hour; without --since the last 24 hours (30 days with --by day)."""
    now = datetime.now(UTC)
    start = _moment(since, now) if since else now - DEFAULT_SPAN[by]
    end = _moment(until, now) if until else now + timedelta(hours=1)
    parameters: dict[str, Any] = {"by": str(by), "start": start, "end": end, "limit": MAX_ROWS_SHOWN + 1}
    chosen = "TRUE"
    if tenant == "-":
        chosen = "tenant_id IS NULL"
    elif tenant:
        chosen, parameters["tenant"] = "tenant_id = %(tenant)s", find_tenant(tenant).pk
    within = (
        f"FROM {SPANS} AS spans WHERE start >= date_trunc(%(by)s, %(start)s, 'UTC') AND start < %(end)s AND {chosen}"
    )
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT COALESCE(t.slug, '-'), span, {", ".join(FIELDS)} FROM (
                    SELECT tenant_id, date_trunc(%(by)s, start, 'UTC') AS span, {SUMS} {within} GROUP BY 1, 2) AS l
                LEFT JOIN tds_new_tenant AS t ON t.id = tenant_id ORDER BY 2 DESC, 1 LIMIT %(limit)s""",  # noqa: S608  # our own words
            parameters,
        )
        rows = cursor.fetchall()
        cursor.execute(f"SELECT {SUMS} {within}", parameters)  # our own words
        totals = Totals(*cursor.fetchone())
    cut, rows = len(rows) > MAX_ROWS_SHOWN, rows[:MAX_ROWS_SHOWN][::-1]
    if as_json:
        lines = [
            {"tenant": slug, "start": span.isoformat()} | dict(zip(FIELDS, n, strict=True)) for slug, span, *n in rows
        ]
        document = {"by": str(by), "since": start.isoformat(), "rows": lines, "cut": cut, "totals": totals._asdict()}
        typer.echo(json.dumps(document))
        return
    _print_table(
        [(slug, f"{span:%Y-%m-%dT%H:%MZ}" if by is By.HOUR else f"{span:%Y-%m-%d}", *n) for slug, span, *n in rows],
        totals,
    )
    if cut:
        typer.echo(f"Only the newest {MAX_ROWS_SHOWN:,} lines are shown; the totals are of all. Narrow it by --since.")
    if not totals.balances:
        typer.echo("The totals do not add up: ./tds ledger check says where.", err=True)


@ledger_app.command()
def check(
    context: typer.Context,
    *,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="Only the counters, from then on; rows know no time of reception.")
    ] = "",
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare all closed hours with their rows, not a sample.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare the counters with each other, with the stored rows and with the quarantine.

    Exit 1 on a difference, 2 when it could not be checked. Ingest goes on meanwhile, and the comparison is exact all
    the same. Counting takes some seconds for 40 million rows.
    """
    from django.conf import settings
    from django.db import DatabaseError
    from rich.console import Console
    from rich.progress import Progress

    from tds.ingest import database, ledger_check

    start = _moment(since, datetime.now(UTC), code=NOT_CHECKED) if since else None
    try:
        with (
            database.connect(settings.DATABASES["default"], name="tds-ledger") as connection,
            Progress(console=Console(stderr=True), transient=True, disable=as_json or not sys.stderr.isatty()) as bar,
        ):
            task = bar.add_task("Counting readings", total=None)
            report = ledger_check.check(
                connection,
                context.obj,
                since=start,
                deep=deep,
                progress=lambda done, of: bar.update(task, completed=done, total=of),
            )
    except (psycopg.Error, DatabaseError) as error:
        sentence = f"The ledger was not checked. {database_failure(error)}"
        if as_json:
            typer.echo(json.dumps({"checked": False, "balanced": None, "error": sentence}, ensure_ascii=False))
        else:
            typer.echo(sentence, err=True)
        raise typer.Exit(NOT_CHECKED) from None
    if as_json:
        typer.echo(json.dumps(report.document(), ensure_ascii=False))
    else:
        for account in report.accounts:
            sums = account.totals
            typer.echo(
                f"{account.tenant}: {sums.received:,} messages = {sums.accepted:,} accepted + {sums.quarantined:,} "
                f"quarantined; {sums.readings:,} readings = {sums.stored:,} stored + {sums.duplicate:,} duplicate; "
                f"{account.rows:,} there, {account.dropped:,} dropped."
            )
        for difference in report.differences:
            typer.echo(difference.sentence, err=True)
        if report.more:
            typer.echo(f"And {report.more:,} more differences of these kinds, which are not named.", err=True)
        if report.balanced:
            typer.echo(
                "The ledger balances." if report.rows_compared else "The counters agree; rows were not compared."
            )
    if not report.balanced:
        raise typer.Exit(1)


@ledger_app.command()
def adopt(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(metavar="SLUG", help="Whose rows.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Count readings that came past ingest, by a bulk load or a restore, as stored in this hour.

    After it `tds ledger check` balances again. Say so only of rows that are meant to be there. Missing rows can't be
    adopted.
    """
    from django.conf import settings

    from tds.ingest import adopted, database

    whose = find_tenant(tenant)
    if not yes:
        typer.confirm(f"Count all uncounted readings of {tenant} as stored now?", abort=True)
    with database.connect(settings.DATABASES["default"], name="tds-ledger") as connection:
        rows = adopted.adopt(connection, context.obj, (whose.pk, whose.slug), now=datetime.now(UTC))
    them = counted(abs(rows), f"reading of {tenant} is", f"readings of {tenant} are")
    if rows < 0:
        typer.echo(f"{them} missing; nothing was counted. See ./tds ledger check.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{them} counted now." if rows else f"All readings of {tenant} are counted.")


def _moment(text: str, now: datetime, *, code: int = 1) -> datetime:
    if span := SPAN.fullmatch(text):
        return now - timedelta(**{{"h": "hours", "d": "days"}[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        typer.echo(f"{text!r} is no moment; write 24h, 7d, 2026-02-18 or 2026-02-18T15:00Z.", err=True)
        raise typer.Exit(code) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print_table(rows: list[tuple[Any, ...]], totals: Totals) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("tenant", "from (UTC)", show_footer=bool(rows))
    table.columns[0].footer = "total"
    for name, total in zip(FIELDS, totals, strict=True):
        table.add_column(name, f"{total:,}", justify="right", no_wrap=True)
    for slug, span, *numbers in rows:
        table.add_row(slug, span, *(f"{number:,}" for number in numbers))
    if not rows:
        typer.echo("Nothing was received in this time.")
        return
    console = Console()
    # Numbers are never cut: on a pipe there is no width to keep.
    Console(width=max(console.width, 110)).print(table)
