"""The running broker, found by the file that has its process id, and signalled only when it really is that one."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROGRAM: Final = "mosquitto"
MAX_PID_CHARS: Final = 20


@dataclass(frozen=True, slots=True)
class BrokerProcess:
    """A pid alone is used again, after a kill and after a restart of the machine; with its start it is one process."""

    pid: int
    start_ticks: int


def find(pid_file: Path) -> BrokerProcess | None:
    """None when it does not run: one that was killed leaves its file behind, and the pid may be somebody else's."""
    try:
        with pid_file.open(encoding="ascii") as file:
            pid = int(file.read(MAX_PID_CHARS))
        return _look(pid)
    except (OSError, ValueError):
        return None


def reload(process: BrokerProcess) -> bool:
    """SIGHUP; False when it does not run any more. Raises PermissionError when it is another account's."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    # The descriptor stays with one process: what is seen now is true of who gets the signal, which would end others.
    try:
        if _look(process.pid) != process:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGHUP)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _look(pid: int) -> BrokerProcess | None:
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    name, _, rest = line.partition("(")[2].rpartition(")")
    fields = rest.split()
    if name != PROGRAM or fields[0] in {"Z", "X"}:
        return None
    return BrokerProcess(pid, int(fields[19]))
