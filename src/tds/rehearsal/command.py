"""The command `tds rehearse`: options in, one rehearsal, a report out."""

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tds.fleet.commands import fail
from tds.rehearsal import plan as plans
from tds.rehearsal.facts import Fault
from tds.rehearsal.plan import Plan
from tds.rehearsal.refusal import RehearsalFailedError, RehearsalRefusedError

if TYPE_CHECKING:
    from tds.rehearsal.candidate import Candidate

FAILED: Final = 4  # a fault of the machine, or of ours
INTERRUPTED: Final = 130  # as shells tell it
FAULTS: Final = ",".join(Fault)


def rehearse(  # noqa: PLR0913  # one option each
    release: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE",
            help="An image's file (.bin, of firmware/tools/pack_image.py), or a release of this platform: its number, "
            "its version, or PRODUCT@VERSION.",
        ),
    ],
    *,
    devices: Annotated[int, typer.Option(min=2, max=plans.MAX_DEVICES, help="So many.")] = plans.DEFAULT_DEVICES,
    faults: Annotated[str, typer.Option(metavar="A,B", help="What they are put through; none for nothing.")] = FAULTS,
    seed: Annotated[int, typer.Option(min=0, help="The same deals the same faults to the same devices.")] = 1,
    waves: Annotated[str, typer.Option(help="How many are in by then.")] = plans.DEFAULT_WAVES,
    soak_seconds: Annotated[int, typer.Option(min=0, help="Watch a wave for so long.")] = plans.DEFAULT_SOAK_S,
    trial_seconds: Annotated[
        int, typer.Option(min=5, max=300, help="So long a new image has to prove itself.")
    ] = plans.DEFAULT_TRIAL_S,
    gate: Annotated[bool, typer.Option(help="The telemetry gate, which needs 25 s a wave.")] = True,
    base: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="IMAGE",
            help="What devices run before; without it the program that is built here.",
            show_default=False,
        ),
    ] = None,
    limit_seconds: Annotated[
        int | None,
        typer.Option(min=30, help="Give up after so long; without it by the number of devices.", show_default=False),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A new folder for all of it: logs, state, database.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="The report as JSON too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Roll a release out before it is: on a platform of its own, with devices as programs, and faults on the way.

    Exit 0: it was rolled out, and what the server believed is what really ran. 1: these differ, or it came to no end.
    3: it halted, and the server is right about each. 4: the rehearsal itself could not be held to its end.
    """
    from tds.rehearsal import rehearsing
    from tds.rehearsal import report as reports
    from tds.rehearsal.display import Display
    from tds.rehearsal.ports import NoPortsError

    try:
        wanted = Plan(
            devices=devices,
            faults=plans.faults(faults),
            seed=seed,
            waves=waves,
            soak_s=soak_seconds,
            trial_s=trial_seconds,
            gate=gate,
            base=base,
            limit_s=limit_seconds or plans.LIMIT_S + plans.LIMIT_A_DEVICE_S * devices,
        )
        candidate = _candidate(release, wanted)
        with _ended_in_good_order(), _folder(keep) as folder, Display(f"Rehearsal of {candidate.name}") as display:
            found = rehearsing.rehearse(wanted, candidate, folder, display.show)
    except RehearsalRefusedError as error:
        fail(str(error))
    except (RehearsalFailedError, NoPortsError) as error:
        typer.echo(f"The rehearsal could not be held to its end. {error}", err=True)
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt:
        typer.echo("Ended; nothing of it is left.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    text = json.dumps(reports.document(found), ensure_ascii=False, indent=2)
    if report is not None:
        report.write_text(f"{text}\n", encoding="utf-8")
    typer.echo(text if as_json else reports.text(found))
    raise typer.Exit(reports.EXIT[found.verdict])


def _candidate(release: str, plan: Plan) -> "Candidate":
    from django.conf import settings

    from tds.rehearsal import candidate as candidates
    from tds.rehearsal import devices
    from tds.updates.folders import UpdatesFolder

    found = candidates.find(release, UpdatesFolder(settings.ENV.home / "updates").artifacts)
    if missing := devices.missing(found.facts.project):
        raise RehearsalRefusedError(f"{' and '.join(missing)} not built in {devices.PROGRAMS}: make firmware")
    return candidates.after(plan.base, found)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Absolute: it is a home, and part of commands that are run elsewhere."""
    from tds.local.apart import shared_folder

    if keep is None:
        with shared_folder("rehearsal") as folder:
            yield folder
        return
    try:
        keep.mkdir(parents=True)
    except FileExistsError:
        raise RehearsalRefusedError(f"{keep} is there already; --keep wants a new folder.") from None
    except OSError as error:
        raise RehearsalRefusedError(f"{keep} can't be made: {error.strerror}.") from None
    yield keep.resolve()


@contextlib.contextmanager
def _ended_in_good_order() -> Iterator[None]:
    """A polite kill, or a terminal that goes, is as a Ctrl-C."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
