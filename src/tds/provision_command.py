"""`tds provision`: a list of units in, a box of keys, certificates, images and labels out."""

import os
import socket
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from tds.fleet.commands import Json, fail, iso, say

if TYPE_CHECKING:
    from tds.environment import Environment
    from tds.identity.factory.box import Box
    from tds.identity.factory.provisioning import Making, Outcome, Plan
    from tds.identity.factory.units import Unit, UnitsRefusedError

INTERRUPTED: Final = 130  # as a shell tells it
LANGUAGES: Final = {"": "", "pt-br": "pt-BR", "pt": "pt-BR", "en": "en"}


def provision(  # noqa: PLR0913  # one option each
    csv: Annotated[
        Path,
        typer.Argument(
            metavar="UNITS.CSV",
            help="A row for each unit below a header: gateway_code and tenant; and as needed site, family, hardware, "
            "wifi_ssid, wifi_password, apn, broker.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The box: a new folder, or one to go on with.")],
    broker: Annotated[
        str, typer.Option(metavar="HOST[:PORT]", help="Of rows that name none (default: this platform's).")
    ] = "",
    language: Annotated[
        str, typer.Option(metavar="pt-BR|en", help="Of the page with the labels (default: the browser's).")
    ] = "",
    reissue: Annotated[
        bool,
        typer.Option("--reissue", help="Units whose key is lost: revoke their certificates and give them others."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge the whole list, and write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Register a box of gateways, and make for each a key, a certificate, an NVS image and a label.

    When it was cut off, do it again with the same list: it goes on where it stopped.
    """
    from tds.environment import read
    from tds.identity.factory import box as boxes

    if language.lower() not in LANGUAGES:
        fail(f"--language is {language!r}; use pt-BR or en.")
    units = _units(csv)
    try:
        boxes.check(out, [unit.code for unit in units])
        making = _making(read(os.environ), units, broker)
        if dry_run:
            _say_plan(out, _plan(units, boxes.Box(out), making, reissue=reissue), as_json=as_json)
            return
        with boxes.opened(out) as box:
            run = _Run(box, _plan(units, box, making, reissue=reissue), making, LANGUAGES[language.lower()])
            _say_outcome(out, run, run.carry_out(), as_json=as_json)
    except boxes.BoxRefusedError as error:
        fail(str(error))
    except OSError as error:
        fail(boxes.disk_sentence(out, error))


def _units(path: Path) -> "tuple[Unit, ...]":
    from tds.identity.factory.units import MAX_CSV_BYTES, UnitsRefusedError, units_of

    try:
        with path.open("rb") as file:
            data = file.read(MAX_CSV_BYTES + 1)  # of a larger one the rest is never in memory
    except OSError as error:
        fail(f"{path} can't be read: {error.strerror}.")
    try:
        return units_of(data)
    except UnitsRefusedError as error:
        _refuse(error)


def _making(environment: "Environment", units: "tuple[Unit, ...]", given: str) -> "Making":
    from django.utils import timezone

    from tds.factory_broker import default_broker, doubts
    from tds.fleet.audit import COMMAND_LINE
    from tds.identity.authorities.folder import AuthorityFolder, FolderUnusableError
    from tds.identity.authorities.keys import KeyUnusableError
    from tds.identity.factory import nvs, unit_cells
    from tds.identity.factory.provisioning import Making
    from tds.updates.folders import UpdatesFolder, roots_text

    machine = socket.gethostname()
    try:
        broker = unit_cells.broker(given) if given else default_broker(environment, machine)
    except unit_cells.CellRefusedError as error:
        fail(f"--broker: {error}")
    unnamed = next((unit.line for unit in units if not unit.broker), None)
    if unnamed is not None and not broker:
        fail(f"Line {unnamed} names no broker; name it there, with --broker, or for all boxes with TDS_TLS_NAMES.")
    for doubt in doubts({unit.broker or broker for unit in units}, environment, machine):
        typer.echo(f"Warning: {doubt}", err=True)
    folder = AuthorityFolder(environment.ca_folder)
    try:
        trusted = frozenset(authority.name for authority in folder.devices(timezone.now()))
        roots = roots_text(UpdatesFolder(environment.home / "updates").roots())
        making = Making(folder.device(), folder.server_ca_pem(timezone.now()), broker, COMMAND_LINE, trusted, roots)
        making.check_room()
    except (FolderUnusableError, nvs.ImageTooLargeError, KeyUnusableError) as error:
        fail(str(error))
    return making


def _plan(units: "tuple[Unit, ...]", box: "Box", making: "Making", *, reissue: bool) -> "Plan":
    from django.utils import timezone

    from tds.identity.factory.provisioning import plan
    from tds.identity.factory.units import UnitsRefusedError

    try:
        return plan(units, box, trusted=making.trusted, now=timezone.now(), reissue=reissue)
    except UnitsRefusedError as error:
        _refuse(error)


def _refuse(error: "UnitsRefusedError") -> NoReturn:
    fail(f"{error}\nNothing was written.")


@dataclass(slots=True)
class _Run:
    box: "Box"
    planned: "Plan"
    making: "Making"
    language: str
    done: int = 0
    seconds: float = 0.0

    def carry_out(self) -> "Outcome":
        from tds.identity.factory.nvs import ImageTooLargeError
        from tds.identity.factory.records import ChangedMeanwhileError

        began = time.monotonic()
        try:
            outcome = self._fill()
        except (ChangedMeanwhileError, ImageTooLargeError) as error:
            fail(f"{error} {self._so_far()}")
        except KeyboardInterrupt:
            typer.echo(f"Stopped. {self._so_far()} The same command goes on from there.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        self.seconds = time.monotonic() - began
        return outcome

    def _so_far(self) -> str:
        return f"{self.done:,} of {len(self.planned.rows):,} units are done."

    def _fill(self) -> "Outcome":
        from django.utils import timezone

        from tds.identity.factory.box_page import pages
        from tds.identity.factory.provisioning import fill, still_good
        from tds.identity.factory.unit_folder import drawn_label
        from tds.provision_progress import progress

        with progress("Provisioning", len(self.planned.rows)) as advance:

            def done(count: int) -> None:
                self.done += count
                advance(count)

            outcome = fill(self.box, self.planned, self.making, clock=timezone.now, done=done)

        def label(code: str) -> str:
            entry = outcome.entries[code]
            return drawn_label(self.box.path, code, entry["family"], entry["hardware"])

        entries, now = list(outcome.entries.values()), timezone.now()
        drawn = pages(self.box.name, entries, label, language=self.language, made_at=now)
        waiting = self.box.finish(entries, drawn, partial(still_good, now=now))
        outcome.waiting = len(waiting)
        outcome.waiting_until = min((own.not_after for own in waiting.values()), default=None)
        return outcome


def _say_plan(out: Path, planned: "Plan", *, as_json: bool) -> None:
    from tds.identity.factory.provisioning_rules import Issue, Keep, Resume

    units, issue, resume, keep = len(planned.rows), *map(planned.count, (Issue, Resume, Keep))
    say(
        {"box": str(out), "units": units, "to_make": issue, "to_complete": resume, "done": keep},
        f"The list is good: {units:,} units, of which {issue + resume:,} are to be made and {keep:,} are done. "
        "Nothing was written.",
        as_json=as_json,
    )


def _say_outcome(out: Path, run: _Run, outcome: "Outcome", *, as_json: bool) -> None:
    units = len(run.planned.rows)
    document: dict[str, Any] = {
        "box": str(out),
        "page": str(out / "index.html"),
        "units": units,
        "made": outcome.made,
        "completed": outcome.completed,
        "kept": outcome.kept,
        "brought_up_to_date": outcome.brought_up_to_date,
        "registered": outcome.registered,
        "superseded": outcome.superseded,
        "waiting": outcome.waiting,
        "waiting_until": iso(outcome.waiting_until),
        "seconds": round(run.seconds, 3),
    }
    parts = [f"{outcome.made + outcome.completed:,} made", f"{outcome.kept:,} were done already"]
    if outcome.brought_up_to_date:
        parts.append(f"{outcome.brought_up_to_date:,} of those brought up to date with the list")
    if outcome.superseded:
        parts.append(f"{outcome.superseded:,} older certificates revoked")
    say(
        document,
        f"{units:,} units in {out} after {run.seconds:.1f} s: {', '.join(parts)}. Labels: {out / 'index.html'}. "
        f"The folders hold private keys and passwords of networks: lock them away.{_told_of_waiting(out, outcome)}",
        as_json=as_json,
    )


def _told_of_waiting(out: Path, outcome: "Outcome") -> str:
    """What else lies in the box: nobody looks into a folder whose name begins with a dot."""
    if not outcome.waiting or outcome.waiting_until is None:
        return ""
    return (
        f" A run that was cut off gave certificates to {outcome.waiting:,} more units, which this list leaves out: "
        f"their keys wait in {out / '.journal'} for a list that names them. Each goes when its certificate is revoked "
        f"or has run out (the first on {outcome.waiting_until:%Y-%m-%d}), at the next run after that."
    )
