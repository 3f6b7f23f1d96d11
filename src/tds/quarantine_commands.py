"""`tds quarantine`: look at refused messages, replay them, take them away, throw them away."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tds.fleet.commands import Json, fail, find_tenant, iso, say
from tds.fleet.counted import counted

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rich.progress import Progress

    from tds.ingest.models import QuarantinedMessage

quarantine_app = typer.Typer(no_args_is_help=True, help="Messages that broke a rule: look, replay, export, purge.")

MAX_ROWS_SHOWN: Final = 1_000
PREVIEW_CHARS: Final = 60
PURGE_AT_ONCE: Final = 5_000

Reason = Annotated[str, typer.Option("--reason", metavar="REASON", help="Only of this reason, as unknown_gateway.")]
Gateway = Annotated[str, typer.Option("--gateway", metavar="CODE", help="Only from this gateway code, as sent.")]
TenantSlug = Annotated[str, typer.Option("--tenant", metavar="SLUG", help="Only this tenant's; - for nobody's.")]
Since = Annotated[
    datetime | None,
    typer.Option("--since", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="Received from then on (UTC)."),
]


@quarantine_app.command("list")
def list_messages(  # noqa: PLR0913  # one option a filter
    *,
    reason: Reason = "",
    gateway: Gateway = "",
    tenant: TenantSlug = "",
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_ROWS_SHOWN, help="Show so many of the newest.")] = 20,
    as_json: Json = False,
) -> None:
    """Show how many there are by reason and gateway, who ever sent most first, and the newest."""
    from tds.ingest.quarantined import described, grouped

    chosen = _chosen(reason, gateway, tenant, since)
    groups = grouped(chosen, limit=limit)
    newest = [described(message) for message in chosen.order_by("-id")[:limit]]
    if as_json:
        told = [group._asdict() | {"last": iso(group.last)} for group in groups]
        typer.echo(json.dumps({"groups": told, "newest": newest}, ensure_ascii=False))
        return
    if not newest:
        typer.echo("Nothing in quarantine of that choice.")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    by_group = Table("total", "kept", "reason", "gateway code", "last")
    for group in groups:
        code = escape(_harmless(group.gateway_code))
        by_group.add_row(str(group.total), str(group.kept), group.reason, code, iso(group.last))
    table = Table("id", "received", "reason", "gateway code", "begins with", "replayed")
    for row in newest:
        begins = _harmless(row["payload"][:PREVIEW_CHARS])
        cells = (str(row["id"]), row["received_at"], row["reason"], _harmless(row["gateway_code"]), begins)
        table.add_row(*map(escape, cells), row["replayed_at"] or "")
    console = Console()
    console.print(by_group, table)
    console.print("One of them whole: ./tds quarantine show ID", highlight=False)


@quarantine_app.command("show")
def show_message(
    message_id: Annotated[int, typer.Argument(metavar="ID", help="As `tds quarantine list` shows it.")],
    *,
    as_json: Json = False,
) -> None:
    """Show one message, what is wrong with it and what to do."""
    from tds.ingest.models import QuarantinedMessage
    from tds.ingest.quarantined import advice, described

    message = QuarantinedMessage.objects.filter(pk=message_id).first()
    if message is None:
        fail(f"There is no message {message_id} in quarantine; it may have made room for newer ones.")
    document = described(message) | {"what_to_do": advice(message.reason, message.gateway_code)}
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    for name, value in document.items():
        typer.echo(f"{name:<13} {_harmless(str(value)) if value is not None else '-'}")


@quarantine_app.command("replay")
def replay_messages(  # noqa: PLR0913  # one option a filter
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID…", help="These; or give a choice by options.")] = None,
    *,
    reason: Reason = "",
    gateway: Gateway = "",
    tenant: TenantSlug = "",
    since: Since = None,
    as_json: Json = False,
) -> None:
    """Judge and store messages once more, after what was wrong has been mended. Doing it twice does no harm."""
    from django.db import connection
    from django.utils import timezone

    from tds import wiring
    from tds.ingest.replay import Outcome, replay

    if not (ids or reason or gateway or tenant or since):
        fail("Say which: IDs, or a choice as --reason unknown_gateway or --gateway CODE.")
    chosen = _chosen(reason, gateway, tenant, since).filter(replayed_at=None)
    wanted = list((chosen.filter(pk__in=ids) if ids else chosen).order_by("id").values_list("pk", flat=True))
    writer = wiring.writer()
    total = Outcome()
    with connection.wrap_database_errors, _bar("Replaying", len(wanted)) as (bar, task):
        for outcome in replay(writer, wanted, now=timezone.now(), room=wiring.room()):
            total.add(outcome)
            bar.update(task, completed=total.accepted + total.refused.total() + total.untried)
    refused = ", ".join(f"{count} {word}" for word, count in total.refused.most_common())
    document: dict[str, Any] = {"chosen": len(wanted), "accepted": total.accepted, "readings": total.readings}
    document |= {"duplicates": total.duplicates, "refused": dict(total.refused)}
    document |= {"untried": total.untried, "obstacle": total.obstacle}
    say(
        document,
        f"Accepted now: {total.accepted} of {counted(len(wanted), 'message')}, with "
        f"{counted(total.readings, 'reading')} ({total.duplicates} of them there already)."
        + (f" Still refused: {refused}." if refused else ""),
        as_json=as_json,
    )
    if total.untried:
        untried = counted(total.untried, "message was", "messages were")
        typer.echo(f"{untried} not tried; do it again. {total.obstacle}", err=True)
        raise typer.Exit(1)


@quarantine_app.command("export")
def export_messages(
    *,
    reason: Reason = "",
    gateway: Gateway = "",
    tenant: TenantSlug = "",
    since: Since = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A new file; default: standard output.")] = None,
) -> None:
    """Write messages as JSON lines; a payload that is no UTF-8 as payload_base64."""
    from tds.ingest.quarantine_blocks import blocks
    from tds.ingest.quarantined import described

    chosen = _chosen(reason, gateway, tenant, since)
    try:
        file = output.open("x", encoding="utf-8") if output else sys.stdout
    except OSError as error:
        fail(f"{output} can't be written: {error.strerror}.")
    written = 0
    try:
        for block in blocks(chosen):
            file.writelines(json.dumps(described(message), ensure_ascii=False) + "\n" for message in block)
            written += len(block)
    finally:
        if output:
            file.close()
    typer.echo(f"{counted(written, 'message')} written.", err=True)


@quarantine_app.command("purge")
def purge_messages(  # noqa: PLR0913  # one option a filter
    *,
    reason: Reason = "",
    gateway: Gateway = "",
    tenant: TenantSlug = "",
    since: Since = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Throw messages away for good. How many there were stays counted."""
    from django.db import connection

    from tds import wiring
    from tds.ingest.quarantine import purge

    chosen = _chosen(reason, gateway, tenant, since)
    wanted = list(chosen.order_by("id").values_list("pk", flat=True))
    if wanted and not yes and not typer.confirm(f"Throw {counted(len(wanted), 'message')} away for good?"):
        raise typer.Exit(1)
    gone = 0
    with connection.wrap_database_errors, _bar("Purging", len(wanted)) as (bar, task):
        for start in range(0, len(wanted), PURGE_AT_ONCE):
            gone += purge(wiring.database_connection(), wanted[start : start + PURGE_AT_ONCE])
            bar.update(task, completed=gone)
    say({"purged": gone}, f"{counted(gone, 'message is', 'messages are')} gone; the counts stay.", as_json=as_json)


def _chosen(reason: str, gateway: str, tenant: str, since: datetime | None) -> "QuerySet[QuarantinedMessage]":
    from datetime import UTC

    from tds.ingest.models import QuarantinedMessage
    from tds.ingest.quarantined import Choice
    from tds.ingest.reasons import Reason as Word

    if reason and reason not in set(Word):
        fail(f"--reason is {reason!r}; use one of: {', '.join(Word)}.")
    messages = QuarantinedMessage.objects.all()
    if tenant:
        messages = messages.filter(tenant=None if tenant == "-" else find_tenant(tenant))
    return Choice(reason, gateway, since.replace(tzinfo=UTC) if since else None).of(messages)


def _harmless(text: str) -> str:
    """A device's text; escaped when it could move the reader's cursor or forge a line."""
    return text if text.isprintable() else ascii(text)


@contextmanager
def _bar(what: str, total: int) -> "Iterator[tuple[Progress, Any]]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=total <= PURGE_AT_ONCE // 50) as bar:
        yield bar, bar.add_task(what, total=total)
