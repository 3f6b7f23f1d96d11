"""Trust sets on the platform: taken in, given out, and made by themselves on a desk."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tds.fleet.audit import COMMAND_LINE
from tds.fleet.models import AuditEntry
from tds.updates import models
from tds.updates.folders import UpdatesFolder, roots_text
from tds.updates.releases import trust_sets
from tds.updates.signed import trust
from tds.updates.signed.keys import PrivateKey
from tds.updates.signed.refusal import DocumentRefusedError, Refusal
from tds.updates.signed.trust import TrustedKey, TrustSet, Use

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("english")]

NOW: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)
ROOT: Final = PrivateKey.new()


def made(version: int, until: datetime = NOW + timedelta(days=365)) -> str:
    key = TrustedKey.of(ROOT.public, Use.RELEASE, NOW, until)
    return trust.make(TrustSet(version, int(NOW.timestamp()), int(until.timestamp()), (key,), ()), ROOT)


@pytest.fixture
def folder(tmp_path: Path) -> UpdatesFolder:
    return UpdatesFolder(tmp_path / "updates")


def take(text: str, now: datetime = NOW) -> TrustSet:
    return trust_sets.take(text, [ROOT.public], by=COMMAND_LINE, now=now)


def test_the_newest_is_given_out_and_who_took_it_in_is_written_down() -> None:
    assert trust_sets.current() is None
    take(made(1))
    assert take(made(3)).version == 3
    assert trust_sets.usable(NOW).version == 3
    assert [entry.object_name for entry in AuditEntry.objects.filter(action="trust.taken")] == ["3", "1"]


def test_attack_an_older_trust_set_is_uploaded() -> None:
    take(made(2))
    with pytest.raises(DocumentRefusedError) as refused:
        take(made(1))
    assert refused.value.reason is Refusal.REPLAYED
    assert models.TrustSet.objects.count() == 1


def test_the_same_again_changes_nothing() -> None:
    text = made(1)
    take(text)
    take(text)
    assert models.TrustSet.objects.count() == AuditEntry.objects.filter(action="trust.taken").count() == 1


def test_an_expired_one_is_not_used() -> None:
    take(made(1, NOW + timedelta(days=1)))
    with pytest.raises(DocumentRefusedError, match="ended on 2026-11-27"):
        trust_sets.usable(NOW + timedelta(days=1))


def test_a_desk_makes_itself_keys_and_a_set_once(tmp_path: Path, folder: UpdatesFolder) -> None:
    for _ in range(2):
        trust_sets.ensure_desk(tmp_path / "release-keys", folder, NOW)
    found = trust_sets.usable(NOW)
    assert (found.version, {key.use for key in found.keys}) == (1, {Use.RELEASE, Use.ASSIGNMENT})
    assert len(roots_text(folder.roots())) == 86
    assert (tmp_path / "release-keys").stat().st_mode & 0o777 == 0o700


def test_a_desk_renews_its_set_before_it_ends_and_when_a_key_changed(tmp_path: Path, folder: UpdatesFolder) -> None:
    trust_sets.ensure_desk(tmp_path / "release-keys", folder, NOW)
    trust_sets.ensure_desk(tmp_path / "release-keys", folder, NOW + timedelta(days=310))
    assert trust_sets.usable(NOW).version == 2
    folder.assignment_key_file.unlink()
    trust_sets.ensure_desk(tmp_path / "release-keys", folder, NOW + timedelta(days=311))
    assert trust_sets.usable(NOW).version == 3


def test_a_third_root_is_refused(folder: UpdatesFolder) -> None:
    for _ in range(2):
        folder.add_root(PrivateKey.new().public)
    with pytest.raises(Exception, match="as many as a gateway keeps"):
        folder.add_root(PrivateKey.new().public)


def tds(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "TDS_HOME": str(home), "HOME": str(home)}
    root = Path(__file__).parents[3]
    return subprocess.run([root / "tds", *words], env=environment, capture_output=True, text=True, check=False)


def test_the_ceremony_of_production_by_the_command_line(tmp_path: Path) -> None:
    """All but the upload, which needs a database: keys are made elsewhere, and the set names what it should."""
    offline, home = tmp_path / "offline", tmp_path / "home"
    for words in (("--root",), ()):
        assert tds(home, "release", "keygen", str(offline), *words).returncode == 0
    assignment = json.loads(tds(home, "trust", "assignment-key", "--json").stdout)
    made = tds(
        home, "trust", "make", str(offline / "1.jws"), "--root", str(offline / "root.key"),
        "--release", str(offline / "release.pub"), "--assignment", assignment["file"], "--json",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert assignment["kid"] in json.loads(made.stdout)["keys"]
    again = tds(
        home, "trust", "make", str(offline / "2.jws"), "--root", str(offline / "root.key"),
        "--former", str(offline / "1.jws"), "--revoke", assignment["kid"], "--json",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["version"] == 2
    assert assignment["kid"] not in json.loads(again.stdout)["keys"]
    refused = tds(home, "release", "keygen", str(offline))
    assert refused.returncode == 1
    assert "is there already" in refused.stderr
    assert (offline / "root.key").stat().st_mode & 0o777 == 0o600
