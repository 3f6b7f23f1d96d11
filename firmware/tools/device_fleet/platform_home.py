"""The platform that runs in $TDS_HOME: where its servers are, and a box of its own units for the fleet."""

import csv
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from device_fleet.refusal import FleetRefusedError
from device_fleet.units import IMAGE, LIST, Unit, has_identity

ROOT: Final = Path(__file__).resolve().parents[3]
TDS: Final = ROOT / "tds"
BOX: Final = "fleet-box"
TABLE: Final = "fleet-units.csv"  # grows; the box is made from all of it
STATE: Final = "fleet"
READY: Final = "ready.json"
ROOTS: Final = "updates/roots"  # whom units believe what they may install: a public key each
TRUST_ROOTS: Final = b"trust_roots"  # a key of NVS, as it stands in the image
COLUMNS: Final = ("gateway_code", "tenant", "family", "broker")


@dataclass(frozen=True, slots=True)
class Servers:
    brokers: tuple[str, ...]  # mqtts://host:port
    ota_url: str  # who renews certificates and has firmware; empty: as each unit's image says


def home() -> Path:
    """As the platform's own settings read it."""
    return (ROOT / Path(os.environ.get("TDS_HOME", ".tds")).expanduser()).resolve()


def servers(folder: Path) -> Servers:
    try:
        ready = json.loads((folder / READY).read_text(encoding="utf-8"))
        # By the name that commands have it under: a device takes firmware from no other.
        return Servers((str(ready["mqtts_url"]),), str(ready.get("firmware_url") or ready["ota_url"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise FleetRefusedError(
            f"No platform runs in {folder}: start it with `make up`, or say where it is with TDS_HOME, "
            "or with --broker and --box."
        ) from None


def own_units(folder: Path, wanted: Mapping[str, str], *, tenant: str, broker: str) -> list[Unit]:
    """The family of each code that is wanted. They are provisioned where they are not yet."""
    box, table = folder / BOX, folder / TABLE
    rows = _read(table)
    for code, family in wanted.items():
        row = rows.setdefault(code, {"tenant": tenant, "family": family})
        if row["tenant"] != tenant:
            raise FleetRefusedError(f"{code} is of tenant {row['tenant']} in {table}; choose another --prefix.")
    roots = any((folder / ROOTS).glob("*.pub"))
    good = all(has_identity(box / code) and (not roots or _has_roots(box / code)) for code in wanted)
    if not good or not (box / LIST).exists():
        _provision(rows, table, box, broker)
    return [Unit(code, family, box / code) for code, family in wanted.items()]


def _has_roots(unit: Path) -> bool:
    """One that was provisioned before there were any would believe no update; another run puts them into its image."""
    try:
        return TRUST_ROOTS in (unit / IMAGE).read_bytes()
    except OSError:
        return False


def _read(table: Path) -> dict[str, dict[str, str]]:
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        return {row["gateway_code"]: {"tenant": row["tenant"], "family": row["family"]} for row in csv.DictReader(file)}


def _provision(rows: Mapping[str, Mapping[str, str]], table: Path, box: Path, broker: str) -> None:
    at = urlsplit(broker).netloc
    draft = table.with_suffix(".new")
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({"gateway_code": code, "broker": at, **row} for code, row in rows.items())
    command = [str(TDS), "provision", str(draft), "--out", str(box)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().replace(str(draft), str(table))
        raise FleetRefusedError(f"The fleet's units were not provisioned:\n{said}")
    draft.replace(table)
