"""`tds token`: who may post readings over HTTP, from the command line."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tds.fleet.commands import Json, fail, find_gateway, find_tenant, iso, say

if TYPE_CHECKING:
    from datetime import datetime

    from tds.fleet.models import ApiToken

token_app = typer.Typer(no_args_is_help=True, help="Bearer tokens for readings over HTTP.")


@token_app.command("add")
def add_token(
    *,
    gateway: Annotated[str, typer.Option(metavar="CODE", help="For this gateway alone.")] = "",
    tenant: Annotated[str, typer.Option(metavar="SLUG", help="For every gateway of this tenant.")] = "",
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[int, typer.Option(min=0, max=3650, help="Valid for so many days; 0: until revoked.")] = 365,
    as_json: Json = False,
) -> None:
    """Make a token and print it, this once."""
    from datetime import timedelta

    from django.utils import timezone

    from tds.fleet import tokens

    if bool(gateway) == bool(tenant):
        fail("Say whom the token is for: either --gateway CODE or --tenant SLUG.")
    of_gateway = find_gateway(gateway) if gateway else None
    of_tenant = of_gateway.tenant if of_gateway else find_tenant(tenant)
    expires_at = timezone.now() + timedelta(days=days) if days else None
    token, secret = tokens.create(of_tenant, gateway=of_gateway, name=name, expires_at=expires_at)
    say(
        {
            "number": token.pk,
            "token": secret,
            "tenant": of_tenant.slug,
            "gateway": gateway or None,
            "expires_at": iso(token.expires_at),
        },
        secret,
        as_json=as_json,
    )
    if not as_json:  # beside what a script reads
        typer.echo(
            f"It is not shown again. Use it as: Authorization: Bearer {token.hint}…\n"
            f"Should others learn of it: ./tds token revoke {token.pk}",
            err=True,
        )


@token_app.command("list")
def list_tokens(
    *,
    tenant: Annotated[str, typer.Option(metavar="SLUG", help="Only this tenant's, and its gateways'.")] = "",
    as_json: Json = False,
) -> None:
    """List tokens, the newest first: whose they are and whether they are valid. Nothing can show the secret again."""
    from django.utils import timezone

    from tds.fleet.models import ApiToken

    found = ApiToken.objects.select_related("tenant", "gateway")
    if tenant:
        found = found.filter(tenant=find_tenant(tenant))
    now = timezone.now()
    rows = [_described(token, now) for token in found.iterator(chunk_size=2_000)]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        typer.echo("No token yet; make one with: ./tds token add --gateway CODE")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("number", "begins with", "tenant", "gateway", "name", "made", "expires", "status")
    for row in rows:
        words = [escape(str(row[key] or "")) for key in ("begins_with", "tenant", "gateway", "name")]
        days = [(row[key] or "never")[:10] for key in ("made_at", "expires_at")]
        table.add_row(str(row["number"]), *words, *days, row["status"])
    Console().print(table)


@token_app.command("revoke")
def revoke_token(
    number: Annotated[int, typer.Argument(min=1, help="As ./tds token list shows it.")], *, as_json: Json = False
) -> None:
    """Take a token back, at once and for good."""
    from django.utils import timezone

    from tds.fleet import audit, tokens

    now = timezone.now()
    token = tokens.revoke(number, by=audit.COMMAND_LINE, now=now)
    if token is None:
        fail(f"There is no token {number}; ./tds token list shows all.")
    say(
        _described(token, now),
        f"Token {number}, {token}, is revoked: what comes with it is refused from now on.",
        as_json=as_json,
    )


def _described(token: "ApiToken", now: "datetime") -> dict[str, Any]:
    expired = token.expires_at is not None and token.expires_at <= now
    return {
        "number": token.pk,
        "begins_with": token.hint,
        "tenant": token.tenant.slug,
        "gateway": token.gateway.code if token.gateway else None,
        "name": token.name,
        "made_at": iso(token.created_at),
        "expires_at": iso(token.expires_at),
        "revoked_at": iso(token.revoked_at),
        "status": "revoked" if token.revoked_at else "expired" if expired else "valid",
    }
