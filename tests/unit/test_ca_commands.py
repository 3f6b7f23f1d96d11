"""`tds ca` as a person uses it."""

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tds.identity.authorities.ca_commands import ca_app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TDS_HOME", str(tmp_path))
    monkeypatch.delenv("TDS_CA_DIR", raising=False)
    return tmp_path


def tds(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(ca_app, words, input=stdin)


def test_the_authorities_are_made_once_and_listed(home: Path) -> None:
    assert "./tds ca init" in tds("show").stderr
    made = tds("init")
    assert made.exit_code == 0
    assert "export-root" in made.stdout
    again = tds("init")
    assert again.exit_code == 1
    assert "already" in again.stderr
    document = json.loads(tds("show", "--json").stdout)
    assert [each["name"] for each in document["authorities"]] == ["root", "device-1", "service-1"]
    assert [each["issues"] for each in document["authorities"]] == [False, True, True]
    assert document["root_key_here"] is True
    assert "device-1" in tds("show").stdout


def test_the_root_is_written_out_and_taken_away(home: Path) -> None:
    tds("init")
    file = home / "medium.pem"
    assert tds("export-root", str(file)).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert "can't be written" in tds("export-root", str(file)).stderr, "what is there is not overwritten"
    assert tds("remove-root-key", stdin="n\n").exit_code == 1
    assert (home / "ca/root.key").exists()
    assert tds("remove-root-key", "--yes").exit_code == 0
    assert json.loads(tds("show", "--json").stdout)["root_key_here"] is False
    assert "root's key is not here" in tds("rotate", "device").stderr
    (home / "ca/root.key").write_bytes(file.read_bytes())
    assert tds("rotate", "device").exit_code == 0


def test_a_rotation_says_until_when_the_old_one_is_trusted(home: Path) -> None:
    tds("init")
    assert "say device or service" in tds("rotate", "gateway").stderr
    document = json.loads(tds("rotate", "device", "--overlap-days", "90", "--json").stdout)
    issues = {each["name"]: each["issues"] for each in document["authorities"]}
    assert issues == {"root": False, "device-1": False, "device-2": True, "service-1": True}
    until = {each["name"]: each["trusted_until"] for each in document["authorities"]}
    assert until["device-1"] < until["device-2"]


def test_a_server_of_somebodys_own_gets_a_certificate(home: Path) -> None:
    tds("init")
    out = home / "proxy"
    assert "no host name" in tds("issue-server", "tds.example.org", "a b", "--out", str(out)).stderr
    assert tds("issue-server", "tds.example.org", "192.0.2.7", "--out", str(out)).exit_code == 0
    assert (out / "server.key").stat().st_mode & 0o777 == 0o600
    words = ["-CAfile", f"{out}/server-ca.pem", "-verify_hostname", "tds.example.org", "-purpose", "sslserver"]
    checked = subprocess.run(["openssl", "verify", *words, f"{out}/server.crt"], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "there already" in tds("issue-server", "tds.example.org", "--out", str(out)).stderr


def test_a_folder_that_cannot_be_made_is_a_sentence(home: Path) -> None:
    (home / "ca").write_text("no folder")
    assert "can't be written" in tds("init").stderr
