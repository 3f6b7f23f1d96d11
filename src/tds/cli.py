"""`./tds`: the command line. Django is loaded by the commands that need it, so that help comes at once."""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer
from django.core.exceptions import ImproperlyConfigured

from tds.local.refusal import CannotStartError

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


@app.callback()
def main_options() -> None:
    """Keeps `tds NAME` the form of every command, also while there is only one."""


@app.command()
def up(
    *,
    demo: Annotated[
        bool, typer.Option(help="A tenant 'demo' with three simulated gateways and 30 days of history.")
    ] = True,
    without: Annotated[
        list[Part] | None, typer.Option(metavar="PART", help=f"Leave a part out: {', '.join(Part)}. May be repeated.")
    ] = None,
) -> None:
    """Run the whole platform on this machine until Ctrl-C: database, broker, web, consumer and worker."""
    from tds.up import up as run

    run(demo=demo, without=frozenset(map(str, without or [])))


def load_django() -> None:
    """The callback of a group of commands that use the database."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tds.settings")
    django.setup()


def main() -> None:
    try:
        app(prog_name="tds")
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except CannotStartError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
