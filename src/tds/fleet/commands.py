"""`tds tenant|user|gateway`: the fleet from the command line. Each command takes --json for scripts."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from tds.fleet.models import Gateway, Tenant

tenant_app = typer.Typer(no_args_is_help=True, help="Companies whose people see their own gateways and nobody else's.")
user_app = typer.Typer(no_args_is_help=True, help="People, and what they may do in a tenant.")
gateway_app = typer.Typer(no_args_is_help=True, help="Gateways: register, list, disable, enable, retire.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a sentence.")]
TenantSlug = Annotated[str, typer.Option("--tenant", metavar="SLUG", help="The tenant's slug.")]
Code = Annotated[str, typer.Argument(metavar="CODE", help="The gateway's code, as in its topic.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait up to 5 s until the brokers have taken it.")]

MAX_PASSWORD_CHARS = 4_096


@tenant_app.command("add")
def add_tenant(
    slug: Annotated[str, typer.Argument(help="Short name for commands: letters, digits, dashes.")],
    *,
    name: Annotated[str, typer.Option(help="Name for people (default: the slug).")] = "",
    time_zone: Annotated[str, typer.Option(help="IANA name; hours and days of charts are this zone's.")] = (
        "America/Sao_Paulo"
    ),
    as_json: Json = False,
) -> None:
    """Make a tenant."""
    from django.db import transaction

    from tds.fleet import audit
    from tds.fleet.models import AuditAction, Tenant

    tenant = Tenant(slug=slug, name=name or slug, time_zone=time_zone)
    with sentences(), transaction.atomic():
        tenant.full_clean()
        tenant.save()
        audit.note(AuditAction.TENANT_ADDED, tenant, by=audit.COMMAND_LINE)
    say(
        {"slug": tenant.slug, "name": tenant.name, "time_zone": tenant.time_zone},
        f"Tenant {tenant.slug} is there. Next: ./tds gateway add CODE --tenant {tenant.slug}",
        as_json=as_json,
    )


@user_app.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="What the person signs in with.")],
    *,
    tenant: TenantSlug,
    role: Annotated[str, typer.Option(help="viewer looks, operator acts, admin manages people too.")] = "viewer",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input (its first line).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a person a member of a tenant. An existing person keeps their password unless a new one is given."""
    from django.contrib.auth.password_validation import validate_password
    from django.core.exceptions import ValidationError
    from django.db import transaction

    from tds.fleet import audit, people
    from tds.fleet.models import Role, User

    if role not in Role.values:
        fail(f"--role is {role!r}; use one of: {', '.join(Role.values)}.")
    password = sys.stdin.readline(MAX_PASSWORD_CHARS).rstrip("\r\n") if password_stdin else ""
    if password_stdin and not password:
        fail("Standard input holds no password; write it there, as in: echo 'the password' | ./tds user add …")
    of_tenant = find_tenant(tenant)
    known = User.objects.filter(username=name).first()
    if known is None and not password:
        fail(f"{name} is new and needs a password: give it on standard input, with --password-stdin.")
    user = known or User(username=name)
    if password:
        user.set_password(password)
        try:
            validate_password(password, user)
        except ValidationError as error:
            typer.echo(f"Warning: the password is weak. {' '.join(error.messages)}", err=True)
    with sentences(), transaction.atomic():
        user.full_clean()
        people.save(user, password_changed=bool(password), by=audit.COMMAND_LINE)
        people.give_role(user, of_tenant, role, by=audit.COMMAND_LINE)
    say(
        {"user": name, "tenant": tenant, "role": role},
        f"{name} is {role} in {tenant}.",
        as_json=as_json,
    )


@gateway_app.command("disable")
def disable_gateway(context: typer.Context, code: Code, *, wait: Wait = True, as_json: Json = False) -> None:
    """Cut a gateway off, and quarantine what it sends, until it is enabled."""
    set_status(context, code, "disabled", wait=wait, as_json=as_json)


@gateway_app.command("enable")
def enable_gateway(context: typer.Context, code: Code, *, wait: Wait = True, as_json: Json = False) -> None:
    """Let a disabled gateway in again, and take its readings."""
    set_status(context, code, "active", wait=wait, as_json=as_json)


@gateway_app.command("retire")
def retire_gateway(context: typer.Context, code: Code, *, wait: Wait = True, as_json: Json = False) -> None:
    """End a gateway for good: certificates are revoked, its history stays with its tenant, its code becomes free."""
    set_status(context, code, "retired", wait=wait, as_json=as_json)


def set_status(context: typer.Context, code: str, status: str, *, wait: bool, as_json: bool) -> None:
    from django.utils import timezone

    from tds.fleet import audit, lifecycle
    from tds.fleet.models import GatewayStatus

    gateway = find_gateway(code)
    # Of the brokers, which `fleet` knows nothing of: cli.py puts it there.
    following = context.obj(gateway) if wait and context.obj else None
    try:
        lifecycle.change(gateway, GatewayStatus(status), by=audit.COMMAND_LINE, now=timezone.now())
    except lifecycle.RetiredError:  # by somebody else, at this moment
        fail(f"There is no gateway {code!r} any more; ./tds gateway list shows all.")
    outcome = following.wait() if following else None
    more, told = (
        (outcome.document(), outcome.told("let in" if status == "active" else "cut off")) if outcome else ({}, "")
    )
    say(described(gateway) | more, f"Gateway {code} is {status}{told}.", as_json=as_json)


def described(gateway: "Gateway") -> dict[str, Any]:
    return {
        "code": gateway.code,
        "tenant": gateway.tenant.slug,
        "name": gateway.name,
        "status": str(gateway.status),
        "auto_devices": gateway.auto_devices,
        "last_seen_at": iso(gateway.last_seen_at),
        "retired_at": iso(gateway.retired_at),
        "retained_seen": gateway.retained_seen_at is not None,
        "retained_seen_at": iso(gateway.retained_seen_at),
    }


def iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def find_tenant(slug: str) -> "Tenant":
    from tds.fleet.models import Tenant

    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        fail(f"There is no tenant {slug!r}; make it with: ./tds tenant add {slug}")
    return tenant


def find_gateway(code: str) -> "Gateway":
    from tds.fleet.models import Gateway

    gateway = Gateway.objects.select_related("tenant").filter(code=code).exclude(status="retired").first()
    if gateway is None:
        fail(f"There is no gateway {code!r}; ./tds gateway list shows all.")
    return gateway


@contextmanager
def sentences(**by_constraint: str) -> Iterator[None]:
    """Turn a broken rule of a model into its sentence; `by_constraint` has better ones, by constraint name."""
    from django.core.exceptions import ValidationError

    try:
        yield
    except ValidationError as error:
        text = " ".join(f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items())
        fail(next((s for name, s in by_constraint.items() if name in text), text.replace("__all__: ", "")))


def say(document: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False) if as_json else sentence)


def fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)


def database_failure(error: Exception) -> str:
    """Of a command that the database failed: what it said, and what a person can do."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"The database did not do it: {said[0].rstrip('.')}. If the platform is not running, start it with ./tds up; "
        "if it runs from another folder, name that in TDS_HOME."
    )
