"""`./tds rehearse` as a person runs it, with images of the devices' programs as they are built here."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tds.environment import ROOT
from tests.devices import built

FAMILY: Final = "dcu-0080"
PACK: Final = ROOT / "firmware" / "tools" / "pack_image.py"
LIMIT_S: Final = 400.0
END_LIMIT_S: Final = 60.0
BAD_BUILDS: Final = ("crashes", "cut-off", "stops")
# A crash is seen at once, a device that can't connect when its trial is over, one that measures no more when five
# messages are missing.
TRIAL_S: Final = 10

Document = dict[str, Any]


def good_image(folder: Path) -> Path:
    return _packed(built("host") / FAMILY, folder / "good.bin", "1.1.0")


def bad_image(build: str, folder: Path) -> Path:
    return _packed(built("host") / "faulty" / build, folder / f"{build}.bin", "1.2.0")


def _packed(program: Path, image: Path, version: str) -> Path:
    words = [sys.executable, str(PACK), str(program), str(image), "--project", FAMILY, "--version", version]
    subprocess.run(words, check=True)
    return image


@dataclass
class Rehearsal:
    """One that runs."""

    process: subprocess.Popen[str]

    def wait(self) -> tuple[int, Document]:
        try:
            out, err = self.process.communicate(timeout=LIMIT_S)
        finally:
            self.end()
        print(err)
        assert self.process.returncode in (0, 1, 3), err
        print(out)
        found: Document = json.loads(out)
        return self.process.returncode, found

    def end(self) -> None:
        """As Ctrl-C does, when it goes on."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.communicate(timeout=END_LIMIT_S)


def rehearse(release: Path | str, home: Path, *words: str, environment: Mapping[str, str] | None = None) -> Rehearsal:
    """`home` is of the person's own platform, which none is; unless it is, in that environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TDS_", "DJANGO_"))}
    return Rehearsal(
        subprocess.Popen(
            [ROOT / "tds", "rehearse", release, "--json", *words],
            env=environment or kept | {"TDS_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )


def rehearse_bad(image: Path, home: Path, seed: int, faults: str) -> Rehearsal:
    words = ("--devices", "6", "--waves", "1, 50 %, 100 %", "--soak-seconds", "1", "--trial-seconds", str(TRIAL_S))
    return rehearse(image, home, *words, "--seed", str(seed), "--faults", faults)


def assert_stopped_in_the_first_wave(build: str, code: int, report: Document) -> None:
    assert code == 3, report
    assert report["outcome"] == "halted"
    assert report["halted_why"] in (("telemetry",) if build == "stops" else ("failures", "too_few_succeeded"))
    assert [wave["opened"] for wave in report["waves"]] == [True, False, False]
    assert not report["differences"]
    first = [device for device in report["devices"] if device["wave"] == 1]
    others = [device for device in report["devices"] if device["wave"] != 1]
    assert {device["status"] for device in others} <= {"QUEUED", "REMOVED"}  # the second: it is known to be bad
    assert {device["runs"] for device in others} == {"0.0.1 (before)"}
    assert len(first) == 1
    # What measures no more runs well otherwise, and stays; the others are back on what they had.
    ran_on = ("SUCCEEDED", "dcu 1.2.0") if build == "stops" else ("FAILED", "0.0.1 (before)")
    assert (first[0]["status"], first[0]["runs"]) == ran_on
    assert first[0]["confirmed"]
