"""`tds claim`: codes by which a new board gets its certificate in the field. Each command takes --json for scripts."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tds.fleet.commands import fail, find_gateway, iso, say

if TYPE_CHECKING:
    from datetime import datetime

    from tds.identity.models import ClaimCode

claim_app = typer.Typer(
    no_args_is_help=True,
    help="Claim codes: typed into a new board once, so that it may ask for its gateway's certificate.",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a sentence.")]
Code = Annotated[str, typer.Argument(metavar="CODE", help="The gateway's code, as in its topic.")]
DEFAULT_DAYS: Final = 7  # as in claims.py, which needs Django
MAX_DAYS: Final = 90


@claim_app.command("add")
def add_claim(
    code: Code,
    *,
    days: Annotated[int, typer.Option(min=1, max=MAX_DAYS, help="Valid for so many days.")] = DEFAULT_DAYS,
    qr: Annotated[bool, typer.Option("--qr", help="Draw it as a QR code too, for a technician's phone.")] = False,
    as_json: Json = False,
) -> None:
    """Make a claim code for a registered gateway and print it, this once. It replaces one that is still open."""
    from django.utils import timezone

    from tds.fleet.audit import COMMAND_LINE
    from tds.identity.enrolment import claims

    try:
        claim, secret = claims.make(find_gateway(code), now=timezone.now(), days=days, by=COMMAND_LINE)
    except claims.ClaimRefusedError as error:
        fail(str(error))
    say({"gateway": code, "claim_code": secret, "expires_at": iso(claim.expires_at)}, secret, as_json=as_json)
    if as_json:  # for a script, which draws for itself
        return
    if qr:
        import segno

        # Upper case, digits and dashes: QR's alphanumeric mode, so that the picture stays small.
        segno.make(secret, micro=False, error="m").terminal(compact=True)
    typer.echo(f"Good once, until {claim.expires_at:%Y-%m-%d %H:%M} UTC. It is not shown again.", err=True)


@claim_app.command("list")
def list_claims(*, as_json: Json = False) -> None:
    """List the codes that are open, or ended in the last days. The codes themselves are kept nowhere."""
    from django.utils import timezone

    from tds.identity.models import ClaimCode

    now = timezone.now()
    claims = ClaimCode.objects.select_related("gateway").order_by("gateway__code", "-created_at")
    rows = [described(claim, now) for claim in claims.iterator(chunk_size=2_000)]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        typer.echo("No claim code yet: ./tds claim add CODE")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("gateway", "begins with", "state", "until")
    for row in rows:
        table.add_row(row["gateway"], f"{row['begins_with']}-…", row["state"], row["expires_at"][:16])
    Console().print(table)


@claim_app.command("revoke")
def revoke_claim(code: Code, *, as_json: Json = False) -> None:
    """End the open claim code of a gateway."""
    from django.utils import timezone

    from tds.fleet.audit import COMMAND_LINE
    from tds.identity.enrolment import claims

    ended = claims.revoke(find_gateway(code), now=timezone.now(), by=COMMAND_LINE)
    if not ended:
        fail(f"Gateway {code} has no open claim code; ./tds claim list shows all.")
    say({"gateway": code, "revoked": ended}, f"The claim code of gateway {code} is revoked.", as_json=as_json)


def described(claim: "ClaimCode", now: "datetime") -> dict[str, Any]:
    return {
        "gateway": claim.gateway.code,
        "begins_with": claim.hint,
        "state": state_of(claim, now),
        "created_at": iso(claim.created_at),
        "expires_at": iso(claim.expires_at),
        "used_at": iso(claim.used_at),
    }


def state_of(claim: "ClaimCode", now: "datetime") -> str:
    if claim.used_at is not None:
        return "used"
    if claim.revoked_at is not None:
        return "revoked"
    return "expired" if now >= claim.expires_at else "open"
