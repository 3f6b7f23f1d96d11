"""What the fleet's command line says of slots and updates."""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from device_fleet import boot, factory_image
from device_fleet.boot import Boot

TRIAL_S: Final = range(5, 3_601)
SPREAD_S: Final = range(1, 3_601)
DEFAULT_SPREAD_S: Final = 10  # a desk's server takes all of them at once; a board's is 300


def add(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--reflash", action="store_true", help="begin with the factory's image, also where there was an update"
    )
    group.add_argument(
        "--trial",
        type=_seconds(TRIAL_S),
        default=boot.BOARD_TRIAL_S,
        metavar="SECONDS",
        help=f"({boot.BOARD_TRIAL_S}) within which a new image proves itself, or is given up",
    )
    group.add_argument(
        "--update-spread",
        type=_seconds(SPREAD_S),
        default=DEFAULT_SPREAD_S,
        metavar="SECONDS",
        help=f"({DEFAULT_SPREAD_S}) within which each asks for an update after its start, and when all are told to",
    )
    group.add_argument(
        "--no-slots", action="store_true", help="the programs as they are, without a launcher: they take no updates"
    )


def read(options: argparse.Namespace, state: Path, families: Collection[str]) -> Boot | None:
    """None: without slots. Raises FleetRefusedError."""
    if options.no_slots:
        return None
    images = factory_image.packed(options.programs, sorted(families), state / boot.IMAGES)
    boot.clear_unused(state / boot.PROGRAMS)
    return Boot(
        options.programs / boot.LAUNCHER,
        state / boot.PROGRAMS,
        images,
        trial_s=options.trial,
        spread_s=options.update_spread,
        anew=options.reflash,
    )


def _seconds(allowed: range) -> Callable[[str], int]:
    def read_one(text: str) -> int:
        if not text.isdecimal() or int(text) not in allowed:
            raise argparse.ArgumentTypeError(f"{text!r} is not good; give seconds from {allowed[0]} to {allowed[-1]}.")
        return int(text)

    return read_one
