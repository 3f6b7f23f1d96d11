"""A device's files are of one fleet at a time: two would write into one flash, and each take the other's connection."""

import contextlib
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from device_fleet.refusal import FleetRefusedError

NAME: Final = "lock"


def hold(state: Path, codes: Iterable[str], held: contextlib.ExitStack) -> None:
    """Until `held` ends, or this process does, however it ends."""
    for code in codes:
        folder = state / code
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise FleetRefusedError(f"{folder} can't be written ({error.strerror}); choose another --state.") from None
        held.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FleetRefusedError(
                f"{code} in {state} is run by another fleet; end that one, or choose other devices or another --state."
            ) from None
