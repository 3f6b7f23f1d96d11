"""A home, authorities or a box that one account made, used by another: a sentence that says whose it is."""

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest

from tds.identity.authorities.folder import AuthorityFolder
from tds.local.apart import shared_folder
from tds.owners import account_name, denied

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")

STRANGER = pwd.getpwnam("nobody")
ROOT = Path(__file__).resolve().parents[2]
# Python itself may be where the stranger may not read: what is imported late is imported before.
PROGRAM = """
import encodings.ascii, encodings.idna, json, os, sys, django.urls, django.utils.log, django_stubs_ext, typer.rich_utils
import tds.cli, tds.up, tds.identity.authorities.authority, tds.identity.authorities.server_files
commands = json.loads(sys.argv[1])
if os.environ["STRANGER_DJANGO"]:
    tds.cli.load_django()
    import tds.identity.factory.box, tds.identity.factory.provisioning, tds.factory_broker
told = []
for words in commands:
    reading, writing = os.pipe()
    if not os.fork():
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.close(writing)
        os.setgroups([])
        os.setgid(int(os.environ["STRANGER_GID"]))
        os.setuid(int(os.environ["STRANGER_UID"]))
        sys.argv = ["tds", *words]
        tds.cli.main()
    os.close(writing)
    with open(reading) as said:
        text = said.read()
    told.append([os.waitstatus_to_exitcode(os.wait()[1]), text])
print(json.dumps(told))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with shared_folder("stranger") as made:
        yield made


def refused(
    home: Path, *commands: str, given: Mapping[str, str] = MappingProxyType({}), django: bool = False
) -> list[str]:
    """What a stranger is told at each command, in one line; never a traceback. `given` are further variables."""
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "src"),
        "TDS_HOME": str(home),
        "STRANGER_UID": str(STRANGER.pw_uid),
        "STRANGER_GID": str(STRANGER.pw_gid),
        "STRANGER_DJANGO": "yes" if django else "",
        **given,
    }
    program = (sys.executable, "-c", PROGRAM, json.dumps([words.split() for words in commands]))
    done = subprocess.run(program, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for code, text in told:
        assert code in {1, 2}, text
        assert "Traceback" not in text, text
    return [" ".join(text.split()) for _, text in told]


GIVEN = {"TDS_DATABASE_URL": "postgresql://tds:none@127.0.0.1:1/tds", "TDS_SECRET_KEY": "x" * 40}


def test_a_home_that_root_made_is_a_sentence_to_another_account(folder: Path) -> None:
    (folder / "secrets").mkdir(mode=0o700)
    (folder / "secrets/database_password").write_text("secret")
    for said in refused(folder, "ca show", "ca init", "status", "up", "gateway list"):
        assert said == (
            f"TDS_HOME is '{folder}': {folder}/secrets/database_password can't be used: {folder}/secrets belongs to "
            "root and is closed to nobody; do this as root (sudo -u root …)."
        )


def test_a_home_that_is_closed_from_above_is_a_sentence_to_another_account(folder: Path) -> None:
    home = folder / "closed" / "home"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    for said in refused(home, "up", "ca show", "ca init", given=GIVEN):
        assert f"{home.parent} belongs to root and is closed to nobody; do this as root" in said


def test_authorities_that_root_made_are_a_sentence_to_another_account(folder: Path) -> None:
    AuthorityFolder(folder / "ca").init(datetime.now(UTC))
    commands = ("ca show", "ca init", "ca rotate device", "ca export-root /tmp/x", "ca remove-root-key --yes")
    for said in refused(folder, *commands, given=GIVEN):
        assert said.startswith(f"{folder}/ca")
        assert said.endswith(f"{folder}/ca belongs to root and is closed to nobody; do this as root (sudo -u root …).")


def test_a_key_in_a_folder_that_is_open_is_a_sentence_as_well(folder: Path) -> None:
    ca = AuthorityFolder(folder / "ca")
    ca.init(datetime.now(UTC))
    ca.path.chmod(0o755)
    (ca.path / "authorities.json").chmod(0o644)
    commands = ("ca issue-server a.example --out /x", "ca rotate device", "ca remove-root-key --yes")
    issue, rotate, remove = refused(folder, *commands, given=GIVEN)
    assert "service-1.key belongs to root" in issue
    assert "device-1.key belongs to root" in rotate
    assert "root.key belongs to root" in remove


def test_a_start_by_another_account_is_a_sentence(folder: Path) -> None:
    """Also where the home itself is open to all, and nothing of it was refused before."""
    (folder / "run").mkdir(mode=0o700)
    folder.chmod(0o777)
    [said] = refused(folder, "up", given=GIVEN)
    assert said == (
        f"{folder}/run can't be used: {folder}/run belongs to root and is closed to nobody; do this as root "
        "(sudo -u root …), or set TDS_HOME to a folder of yours."
    )


def test_a_box_with_authorities_or_a_folder_of_another_account_is_a_sentence(folder: Path) -> None:
    AuthorityFolder(folder / "ca").init(datetime.now(UTC))
    units, mine, theirs = folder / "units.csv", folder / "mine", folder / "theirs"
    units.write_text("gateway_code,tenant,broker\nGW-1,demo,tds.example\n")
    for each in (mine, theirs):
        each.mkdir(mode=0o700)
    os.chown(mine, STRANGER.pw_uid, STRANGER.pw_gid)
    commands = (f"provision {units} --out {mine}/box", f"provision {units} --out {theirs}/box")
    no_authority, no_folder = refused(folder, *commands, django=True, given=GIVEN)
    assert no_authority.endswith(
        f"{folder}/ca belongs to root and is closed to nobody; do this as root (sudo -u root …)."
    )
    assert no_folder == (
        f"{theirs}/box can't be used: {theirs} belongs to root and is closed to nobody; do this as root "
        "(sudo -u root …), or name a folder of yours with --out."
    )


def test_an_account_without_a_name_has_its_number(tmp_path: Path) -> None:
    assert account_name(54_321) == "#54321"
    os.chown(tmp_path, 54_321, 54_321)
    assert denied(tmp_path / "missing").startswith(f"{tmp_path} belongs to #54321 and is closed to root; do this as")
