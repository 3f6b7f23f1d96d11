"""Who the devices are: units of a box, as `./tds provision` fills it, and of which family each is."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device_fleet.refusal import FleetRefusedError

FAMILIES: Final = ("dcu-0080", "dcu-8000-sim", "dcu-all", "relay-mfr")
LIST: Final = "units.json"
IMAGE: Final = "nvs.bin"
PEM_FILES: Final = ("gateway.key", "gateway.crt", "ca.pem")


@dataclass(frozen=True, slots=True)
class Unit:
    code: str
    family: str
    folder: Path


def has_identity(folder: Path) -> bool:
    return (folder / IMAGE).is_file() or all((folder / name).is_file() for name in PEM_FILES)


def in_box(
    box: Path, *, named: Mapping[str, str | None], families: Sequence[str], default_family: str, count: int | None
) -> list[Unit]:
    """`named` chooses by code, and may say a family; with none all that have an identity, of `families`."""
    if not box.is_dir():
        raise FleetRefusedError(f"{box} is no box; ./tds provision fills one.")
    listed = _families_of(box)
    codes: Iterable[str] = named or sorted(each.name for each in box.iterdir() if has_identity(each))
    units = []
    for code in codes:
        family = named.get(code) or listed.get(code) or default_family
        if family not in FAMILIES:
            raise FleetRefusedError(f"{code} is a {family!r}; the families are {', '.join(FAMILIES)}.")
        if has_identity(box / code) and (named or family in families):
            units.append(Unit(code, family, box / code))
    if not units:
        raise FleetRefusedError(f"{box} has no unit with key and certificate of those that you named.")
    return units[:count]


def _families_of(box: Path) -> dict[str, str]:
    try:
        units = json.loads((box / LIST).read_text(encoding="utf-8"))["units"]
        return {str(unit["code"]): str(unit["family"]) for unit in units}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # a box of PEM files alone has no list
