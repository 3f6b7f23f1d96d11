"""`tds password`: for boards on a bench without certificates. Each command takes --json for scripts."""

import json

import typer

from tds.fleet.commands import Code, Json, fail, find_gateway, iso, say

password_app = typer.Typer(
    no_args_is_help=True,
    help="Passwords of gateways without certificates: taken while TDS_MQTT_PLAIN is 'password', until its day.",
)


@password_app.command("add")
def add_password(code: Code, *, as_json: Json = False) -> None:
    """Make a password for a registered gateway and print it, this once. It replaces the one that there may be."""
    from tds.fleet.audit import COMMAND_LINE
    from tds.identity.access import passwords

    try:
        password = passwords.make(find_gateway(code), by=COMMAND_LINE)
    except passwords.PasswordRefusedError as error:
        fail(str(error))
    say({"gateway": code, "password": password}, password, as_json=as_json)
    if not as_json:
        typer.echo("The user name is the gateway's code. The password is not shown again.", err=True)


@password_app.command("list")
def list_passwords(*, as_json: Json = False) -> None:
    """List the gateways that have one. The passwords themselves are kept nowhere."""
    from tds.identity.models import GatewayPassword

    found = GatewayPassword.objects.select_related("gateway").order_by("gateway__code")
    rows = [{"gateway": each.gateway.code, "made_at": iso(each.made_at)} for each in found.iterator(chunk_size=2_000)]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        typer.echo("No gateway has a password: ./tds password add CODE")
    for row in rows:
        typer.echo(f"{row['gateway']}  made {row['made_at']}")


@password_app.command("remove")
def remove_password(code: Code, *, as_json: Json = False) -> None:
    """Take a gateway's password away; a session that it opened with it is cut off."""
    from tds.fleet.audit import COMMAND_LINE
    from tds.identity.access import passwords

    if not passwords.remove(find_gateway(code), by=COMMAND_LINE):
        fail(f"Gateway {code} has no password; ./tds password list shows who has one.")
    say({"gateway": code, "removed": True}, f"The password of gateway {code} is gone.", as_json=as_json)
