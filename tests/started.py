"""`./tds up` as a person runs it, on its own ports and folder."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tds.local.apart import Apart, shared_folder
from tests.running import free_port

STOP_LIMIT_S: Final = 10.0


class Started(Apart):
    """One home with its ports; `start` and `stop` as often as the test likes."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, free_port)

    @property
    def pids(self) -> dict[str, int]:
        found: dict[str, int] = self.ready["processes"]
        return found

    def kill(self) -> None:
        """The supervisor alone, as the kernel does when memory runs out. Its children live on."""
        self.stop(signal.SIGKILL)


@contextmanager
def new_home() -> Iterator[Started]:
    with shared_folder("up") as folder:
        found = Started(folder / "a home")  # a path with a space, always
        try:
            yield found
        finally:
            found.stop()
