"""A group of `./tds` commands in this process: as `tds.cli` has it, but without setting up Django a second time."""

import json
from typing import Any

from typer import Typer
from typer.testing import CliRunner


class Commands:
    """`./tds <name> …`."""

    def __init__(self, name: str, group: Typer) -> None:
        self._name = name
        self._app = Typer()
        self._app.add_typer(group, name=name)

    def tds(self, *words: str, stdin: str | None = None) -> Any:
        """What a command printed, where, and its exit code."""
        return CliRunner().invoke(self._app, [self._name, *words], input=stdin, prog_name="tds")

    def done(self, *words: str, stdin: str | None = None) -> Any:
        """What a script reads of a command that went well."""
        result = self.tds(*words, "--json", stdin=stdin)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return json.loads(result.stdout)

    def refused(self, *words: str, stdin: str | None = None) -> str:
        """The one sentence of a command that did not go."""
        result = self.tds(*words, stdin=stdin)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        assert result.stderr.count("\n") == 1
        return str(result.stderr)
