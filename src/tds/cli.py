"""`./tds`: the command line. Django is loaded by the commands that need it, so that help comes at once."""

import functools
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from tds.environment import MAX_BROKERS
from tds.fleet.commands import database_failure, tenant_app, user_app
from tds.fleet.metric_commands import metric_app
from tds.fleet.token_commands import token_app
from tds.gateway_commands import gateway_app
from tds.identity.access.password_commands import password_app
from tds.identity.authorities.ca_commands import ca_app
from tds.identity.enrolment.claim_commands import claim_app
from tds.identity.issued.certificate_commands import certificate_app
from tds.ingest.ledger_commands import ledger_app
from tds.ingest.ledger_commands import main as ledger_main
from tds.local.refusal import CannotStartError
from tds.owners import denied
from tds.provision_command import provision
from tds.quarantine_commands import quarantine_app
from tds.readings_commands import readings_app
from tds.rehearsal.command import rehearse
from tds.simulator.command import simulate
from tds.updates.releases.release_commands import release_app
from tds.updates.releases.trust_commands import trust_app
from tds.updates.rollouts.rollout_commands import rollout_app

app = typer.Typer(
    name="tds",
    help="Telemetry for fleets of gateways: start it, look after it, fill it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Part(StrEnum):
    DATABASE = "database"
    BROKER = "broker"
    WEB = "web"
    CONSUMER = "consumer"
    WORKER = "worker"
    AGENT = "agent"
    OTA = "ota"


@app.callback()
def main_options() -> None:
    """Keeps `tds NAME` the form of every command, also while there is only one."""


@app.command()
def up(
    *,
    demo: Annotated[
        bool | None,
        typer.Option(
            "--demo/--no-demo",
            help="A tenant 'demo' with 3 simulated gateways and 30 days of history [default: on; off in production].",
            show_default=False,
        ),
    ] = None,
    brokers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_BROKERS,
            metavar="N",
            help="Run so many private brokers, each with its consumer [default: as last time, at first 1].",
            show_default=False,
        ),
    ] = None,
    without: Annotated[
        list[Part] | None, typer.Option(metavar="PART", help=f"Leave a part out: {', '.join(Part)}. May be repeated.")
    ] = None,
) -> None:
    """Run the platform on this machine until Ctrl-C: database, broker, web, consumer, worker, firmware server."""
    from tds.up import up as run

    run(demo=demo, brokers=brokers, without=frozenset(map(str, without or [])))


app.command("simulate")(simulate)


def load_audit(context: typer.Context) -> None:
    """The callback of a group that needs no database, and writes down what it did where there is one."""
    context.obj = note_of_authority


def note_of_authority(action: str, name: str, detail: dict[str, str | int | None]) -> str:
    """An entry in the audit trail; or why there is none, as part of a sentence."""
    try:
        load_django()
        from tds.fleet import audit
        from tds.fleet.models import AuditAction

        audit.note(AuditAction(action), audit.authority(name), by=audit.COMMAND_LINE, detail=detail)
    except (DatabaseError, psycopg.Error):
        return "the database is away, or was never set up"
    except (ImproperlyConfigured, OSError) as error:
        return str(error).rstrip(".")
    return ""


app.add_typer(ca_app, name="ca", callback=load_audit)


def load_django() -> None:
    """The callback of a group of commands that use the database."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tds.settings")
    django.setup()

    from django.utils import translation

    translation.activate("en")  # Django's own sentences beside ours; the pages' default is Portuguese


for name, group in (
    ("tenant", tenant_app),
    ("user", user_app),
    ("token", token_app),
    ("claim", claim_app),
    ("password", password_app),
    ("metric", metric_app),
    ("readings", readings_app),
    ("quarantine", quarantine_app),
    ("release", release_app),
    ("trust", trust_app),
    ("rollout", rollout_app),
):
    app.add_typer(group, name=name, callback=load_django)


def load_brokers(context: typer.Context) -> None:
    """The callback of a group whose commands wait until the brokers act on what was done."""
    load_django()
    from tds.identity.revocation.in_force import follow

    context.obj = follow


app.add_typer(gateway_app, name="gateway", callback=load_brokers)
app.add_typer(certificate_app, name="certificate", callback=load_brokers)


def with_django(command: Callable[..., None]) -> Callable[..., None]:
    """A command of no group that uses the database."""

    @functools.wraps(command)  # typer reads the options from it
    def run(**options: Any) -> None:  # as typer gives them
        load_django()
        command(**options)

    return run


app.command("provision")(with_django(provision))
app.command("rehearse")(with_django(rehearse))


def load_store(context: typer.Context) -> None:
    """The callback of a group that reads the stored rows."""
    load_django()
    from tds import wiring

    context.obj = wiring.reading_store()
    ledger_main(context)


app.add_typer(ledger_app, name="ledger", callback=load_store, invoke_without_command=True)


@app.command()
def status(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """Say what is healthy (exit 0), or what is not and what to do (exit 1), from live facts."""
    load_django()
    from tds.status_command import status as run

    run(as_json=as_json)


def main() -> None:
    try:
        app(prog_name="tds")
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except CannotStartError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    except PermissionError as error:
        # Another account's home: any command may be the first to come to a file that is closed to us.
        if not isinstance(error.filename, (str, bytes)):  # none, or a descriptor's number
            raise
        place = os.fsdecode(error.filename)
        sys.stderr.write(f"{place} can't be used: {denied(Path(place))}.\n")
        sys.exit(1)
    except (DatabaseError, psycopg.Error) as error:  # the second: of the stores, which speak SQL
        sys.stderr.write(f"{database_failure(error)}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
