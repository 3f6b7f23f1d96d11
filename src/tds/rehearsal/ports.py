"""Ports for a platform of its own, which no other rehearsal on this machine is given at the same time."""

import contextlib
import random
import socket
from collections.abc import Iterator
from typing import Final

from tds.local.ports import LOOPBACK, trouble

# Below what outgoing connections get by themselves (Linux: 32,768), and above the platform's usual ones.
FIRST: Final = 12_000
LAST: Final = 19_999
A_BLOCK: Final = 40  # ports; a platform needs 13
TRIES: Final = 50


class NoPortsError(Exception):
    """The text is a sentence."""


@contextlib.contextmanager
def block() -> Iterator[Iterator[int]]:
    """Free ports, each once, for as long as it is held."""
    firsts = random.sample(range(FIRST, LAST + 1 - A_BLOCK, A_BLOCK), TRIES)
    for first in firsts:
        # A name of Linux's own, in no folder, which goes with its process: whoever has it has the block.
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0tds-rehearsal-{first}")
            except OSError:
                continue
            yield (port for port in range(first, first + A_BLOCK) if not trouble(LOOPBACK, port))
            return
    raise NoPortsError(f"There are no free ports from {FIRST} to {LAST} on this machine; end other rehearsals first.")
