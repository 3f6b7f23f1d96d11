"""Lists of units and boxes for tests."""

import csv
import io
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from typer import Typer
from typer.testing import CliRunner

from tds.identity.authorities.folder import AuthorityFolder
from tds.provision_command import provision

FILES: Final = {"gateway.key", "gateway.crt", "ca.pem", "nvs.bin", "label.svg"}
BROKER: Final = "mqtts://mqtt.example.com:8883"
# As `tds.cli` has it, but without setting up the Django that the tests run in a second time.
APP: Final = Typer()
APP.command()(provision)


def row(number: int, **changed: str) -> dict[str, str]:
    return {
        "gateway_code": f"GW-{number:04}",
        "tenant": "acme",
        "site": f"Sítio {number % 3}",
        "family": "dcu-0080",
        "hardware": "C",
        "wifi_ssid": "oficina",
        "wifi_password": f"=senha {number:04}",
        "broker": BROKER,
    } | changed


def rows(count: int, **changed: str) -> list[dict[str, str]]:
    return [row(number, **changed) for number in range(1, count + 1)]


def written(path: Path, units: Iterable[dict[str, str]]) -> Path:
    units = list(units)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(units[0]), delimiter=";")
    writer.writeheader()
    writer.writerows(units)
    path.write_text(text.getvalue(), encoding="utf-8-sig")
    return path


class Factory:
    """A home with authorities, a list, and a box that is filled from it."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.list = home / "units.csv"
        self.box = home / "a box"
        self.authorities = AuthorityFolder(home / "ca")
        self.authorities.init(datetime.now(UTC))
        for name in os.environ:
            if name.startswith("TDS_"):
                patch.delenv(name)
        patch.setenv("TDS_HOME", str(home))
        patch.setenv("TDS_TLS_NAMES", "mqtt.example.com")

    def tds(self, units: Iterable[dict[str, str]] | None, *words: str) -> Any:
        if units is not None:
            written(self.list, units)
        return CliRunner().invoke(APP, [str(self.list), "--out", str(self.box), *words], prog_name="tds")

    def done(self, units: Iterable[dict[str, str]] | None, *words: str) -> dict[str, Any]:
        """What a script reads of a run that went well."""
        result = self.tds(units, "--json", *words)
        assert (result.exit_code, result.stderr) == (0, ""), (result.output, result.exception)
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    def refused(self, units: Iterable[dict[str, str]] | None, *words: str) -> str:
        """The sentences of a run that was not made. It leaves everything as it was."""
        before = self.contents()
        result = self.tds(units, *words)
        assert isinstance(result.exception, SystemExit), result.exception
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        assert self.contents() == before
        return str(result.stderr)

    def contents(self) -> dict[str, bytes]:
        paths = sorted(path for path in self.box.rglob("*") if path.is_file())
        return {str(path.relative_to(self.box)): path.read_bytes() for path in paths}

    def entries(self) -> dict[str, dict[str, str]]:
        document = json.loads((self.box / "units.json").read_text(encoding="utf-8"))
        return {entry["code"]: entry for entry in document["units"]}

    def folders(self) -> list[Path]:
        return sorted(path for path in self.box.iterdir() if path.is_dir())
