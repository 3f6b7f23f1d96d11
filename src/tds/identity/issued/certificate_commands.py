"""`tds certificate`: what was issued to gateways, and taking one back. Each command takes --json for scripts."""

import json
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tds.fleet.commands import Wait, fail, iso, say

if TYPE_CHECKING:
    from datetime import datetime

    from tds.identity.models import Certificate

certificate_app = typer.Typer(no_args_is_help=True, help="Certificates of gateways: list them, revoke one.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a sentence.")]
MAX_SHOWN: Final = 1_000  # rows of a table; --json has all
MAX_DAYS: Final = 3_650
# RFC 5280, 5.3.1, without those that a person has no use for.
REASONS: Final = ("keyCompromise", "superseded", "affiliationChanged", "cessationOfOperation", "privilegeWithdrawn")


@certificate_app.command("list")
def list_certificates(
    *,
    gateway: Annotated[str, typer.Option(metavar="CODE", help="Only this gateway's.")] = "",
    expiring: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_DAYS, metavar="DAYS", help="Only of gateways whose last one ends within so long."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List certificates, those that end first at the top."""
    from datetime import timedelta

    from django.utils import timezone

    from tds.fleet.models import Gateway
    from tds.identity.issued import certificates
    from tds.identity.models import Certificate

    now = timezone.now()
    chosen = Certificate.objects.select_related("gateway").order_by("not_after", "id")
    if gateway:
        if not Gateway.objects.filter(code=gateway).exists():  # a retired one has certificates to show as well
            fail(f"There is no gateway {gateway!r}; ./tds gateway list shows all.")
        chosen = chosen.filter(gateway__code=gateway)
    if expiring is not None:
        chosen = certificates.last(chosen).filter(not_after__lte=now + timedelta(days=expiring))
    rows = (described(certificate, now) for certificate in chosen.iterator(chunk_size=2_000))
    if as_json:
        typer.echo(json.dumps(list(rows)))
        return
    shown = list(islice(rows, MAX_SHOWN))
    if not shown:
        typer.echo("No such certificate. Gateways get one by ./tds provision, or with a code of ./tds claim add.")
        return
    # Serial numbers are for copying: a table that cuts them to the terminal's width would be no use.
    longest = max(len(row["gateway"]) for row in shown)
    for row in shown:
        told = (f"{row['gateway']:<{longest}}", f"{row['issuer']:<9}", f"until {row['not_after'][:10]}", row["state"])
        typer.echo("  ".join((row["serial"], *told)))
    if len(shown) == MAX_SHOWN:
        typer.echo(f"Not more than {MAX_SHOWN} are shown here; --json has all.")


@certificate_app.command("revoke")
def revoke_certificate(  # noqa: PLR0913  # one option each
    context: typer.Context,
    serial: Annotated[str, typer.Argument(help="As ./tds certificate list shows it: 40 hexadecimal digits.")],
    *,
    reason: Annotated[str, typer.Option(help=f"One of {', '.join(REASONS)}.")],
    with_renewed: Annotated[
        bool, typer.Option("--with-renewed", help="Also those that were got by renewal since, perhaps with it.")
    ] = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Refuse one certificate for ever. Others of the same gateway stay good: to put a gateway out, disable it.

    Whoever stole it may have renewed with it: what is left of that is named, and revoked with --with-renewed.
    """
    from django.utils import timezone

    from tds.fleet import audit
    from tds.identity.issued import certificates

    if reason not in REASONS:
        fail(f"--reason is {reason!r}; use one of: {', '.join(REASONS)}.")
    found = certificates.find(serial)
    if found is None:
        fail(f"There is no certificate {serial!r}; ./tds certificate list shows all.")
    following = context.obj(found.gateway) if wait and context.obj else None
    now, also = timezone.now(), []
    if with_renewed:
        also = certificates.revoke_with_renewed(found, reason, by=audit.COMMAND_LINE, now=now)
    else:
        certificates.revoke(found, reason, by=audit.COMMAND_LINE, now=now)
    left = certificates.left_by(found, certificates.of_gateway(found), now=now)
    outcome = following.wait() if following else None
    more, told = (outcome.document(), outcome.told("refused")) if outcome else ({}, "")
    document = described(found, timezone.now()) | {"also_revoked": _serials(also), "left": _serials(left)} | more
    what = f"Certificate {found.serial} of gateway {found.gateway.code} is revoked"
    what += f", and so are {len(also)} renewed since: {', '.join(_serials(also))}" if also else ""
    say(document, f"{what}{told}.{_told_of_left(found, left, reason)}", as_json=as_json)


def _told_of_left(found: "Certificate", left: "list[Certificate]", reason: str) -> str:
    if not left:
        return ""
    return (
        f" Whoever had it may have renewed with it: still good {'is' if len(left) == 1 else 'are'} "
        f"{', '.join(_serials(left))}. To revoke that as well: "
        f"./tds certificate revoke {found.serial} --reason {reason} --with-renewed"
    )


def _serials(of: "list[Certificate]") -> list[str]:
    return [each.serial for each in of]


def described(certificate: "Certificate", now: "datetime") -> dict[str, Any]:
    return {
        "serial": certificate.serial,
        "gateway": certificate.gateway.code,
        "issuer": certificate.issuer,
        "given_by": str(certificate.how),
        "state": state_of(certificate, now),
        "not_before": iso(certificate.not_before),
        "not_after": iso(certificate.not_after),
        "revoked_at": iso(certificate.revoked_at),
        "reason": certificate.revocation_reason,
        "sha256": certificate.fingerprint,
    }


def state_of(certificate: "Certificate", now: "datetime") -> str:
    if certificate.revoked_at is not None:
        return "revoked"
    if now > certificate.not_after:
        return "expired"
    return "good" if certificate.gateway.status == "active" else f"gateway {certificate.gateway.status}"
