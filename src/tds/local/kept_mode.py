"""The mode of a home. A production one that is started without TDS_MODE, as by a lost environment, would take gateways
at their word and let in everybody on the machine."""

from typing import Final

from tds.environment import Environment, Mode
from tds.local.processes import write_whole
from tds.local.refusal import CannotStartError

MODE: Final = "mode"  # a file of the home, of production alone: a desk may become that


def keep(environment: Environment) -> None:
    """Raises CannotStartError: the home is of production, and this start is not. Raises OSError."""
    file = environment.home / MODE
    if environment.mode is Mode.PRODUCTION:
        write_whole(file, f"{Mode.PRODUCTION}\n", mode=0o644)
    elif file.exists():
        raise CannotStartError(
            f"TDS_HOME is {str(environment.home)!r}, which runs in production, and TDS_MODE is not set to that: set "
            f"what it is started with, TDS_MODE=production first. If it is to be a desk from now on, remove {file}."
        )
