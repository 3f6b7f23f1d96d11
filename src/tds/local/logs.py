"""One bounded log file a child: `$TDS_HOME/log/<name>.log`, and one older `<name>.log.1`."""

import shutil
from pathlib import Path
from typing import IO, Final

MAX_LOG_BYTES: Final = 10 * 1024**2  # beyond: the file becomes `.1`, and the `.1` before it goes
TAIL_LINES: Final = 8


def path_of(home: Path, name: str) -> Path:
    return home / "log" / f"{name}.log"


def open_log(home: Path, name: str) -> IO[bytes]:
    """For appending: a child that appends goes on at the new end when the file is cut under it."""
    path = path_of(home, name)
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    keep_bounded(path)
    return path.open("ab", buffering=0)


def keep_bounded(path: Path) -> None:
    """Copy, then cut. What a child writes between the two is lost: a log, not a ledger."""
    try:
        if path.stat().st_size <= MAX_LOG_BYTES:
            return
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        with path.open("r+b") as file:
            file.truncate()
    except OSError:
        return  # a full disk must not end the supervisor


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
