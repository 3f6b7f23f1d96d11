"""The audit trail of what is done with the authorities' folder, which needs no database for anything else."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from typer import Context, Typer
from typer.testing import CliRunner

from tds import cli
from tds.environment import ROOT
from tds.fleet.models import AuditEntry
from tds.identity.authorities.ca_commands import ca_app
from tests.running import free_port

pytestmark = pytest.mark.django_db

LINE: Final = "command line"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TDS_HOME", str(tmp_path))
    monkeypatch.setattr(cli, "load_django", lambda: None)  # the tests run in it
    return tmp_path


def tds(*words: str, note: Callable[..., str] = cli.note_of_authority) -> Any:
    """As `tds.cli` puts it together."""

    def load(context: Context) -> None:
        context.obj = note

    app = Typer()
    app.add_typer(ca_app, name="ca", callback=load)
    return CliRunner().invoke(app, ["ca", *words], prog_name="tds")


def test_whatever_is_done_with_the_authorities_is_written_down_without_their_keys(home: Path) -> None:
    for words in (
        ("init",),
        ("show",),
        ("rotate", "device", "--overlap-days", "30"),
        ("issue-server", "web.example.com", "--out", str(home / "web")),
        ("export-root", str(home / "root.pem")),
        ("remove-root-key", "--yes"),
    ):
        done = tds(*words)
        assert (done.exit_code, done.stderr) == (0, ""), done.output
    entries = AuditEntry.objects.order_by("id").values_list("actor", "action", "object_kind", "object_name", "detail")
    assert list(entries) == [
        (LINE, "ca.made", "authority", "root", {}),
        (LINE, "ca.rotated", "authority", "device-2", {"before": "device-1", "overlap_days": 30}),
        (LINE, "ca.server_issued", "authority", "service-1", {"hosts": "web.example.com"}),
        (LINE, "ca.root_exported", "authority", "root", {"file": str(home / "root.pem")}),
        (LINE, "ca.root_removed", "authority", "root", {}),
    ]


def test_what_was_refused_is_not_written_down(home: Path) -> None:
    assert tds("rotate", "device").exit_code == 1
    assert not AuditEntry.objects.exists()


def test_without_a_database_it_is_done_all_the_same_and_says_that_it_is_not_written_down(home: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TDS_", "DJANGO_"))}
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    ended = subprocess.run(
        [sys.executable, "-m", "tds.cli", "ca", "init"],
        env=kept | {"TDS_HOME": str(home), "TDS_DATABASE_URL": away, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert (home / "ca").is_dir()
    said = "Warning: it was done, and is not in the audit trail (the database is away, or was never set up).\n"
    assert ended.stderr == said
