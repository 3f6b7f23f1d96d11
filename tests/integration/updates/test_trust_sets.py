"""Trust sets on the platform: taken in, given out, and made by themselves on a desk."""

import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner, Result

from tds.fleet.audit import COMMAND_LINE
from tds.fleet.models import AuditEntry
from tds.updates import models
from tds.updates.folders import UpdatesFolder, roots_text
from tds.updates.releases import trust_sets
from tds.updates.releases.signing_commands import release_app
from tds.updates.releases.trust_commands import trust_app
from tds.updates.signed import trust
from tds.updates.signed.keys import PrivateKey, PublicKey
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


def test_a_home_with_a_ceremony_is_left_as_it_is_when_it_starts_as_a_desk(
    tmp_path: Path, folder: UpdatesFolder
) -> None:
    """As by a start of a production's home without TDS_MODE: gateways would take no set of a root that they don't know,
    and the ceremony's next one would not follow it."""
    folder.add_root(ROOT.public)
    trust_sets.ensure_desk(tmp_path / "release-keys", folder, NOW)
    take(made(1))
    trust_sets.ensure_desk(tmp_path / "release-keys", folder, NOW)
    assert models.TrustSet.objects.get().version == 1
    assert models.TrustSet.objects.get().version == 1
    assert folder.roots() == (ROOT.public,)
    assert not (tmp_path / "release-keys").exists()
    take(made(2))


def test_a_third_root_is_refused(folder: UpdatesFolder) -> None:
    for _ in range(2):
        folder.add_root(PrivateKey.new().public)
    with pytest.raises(Exception, match="as many as a gateway keeps"):
        folder.add_root(PrivateKey.new().public)


# As a person names a root key


@pytest.fixture
def platform(tmp_path: Path, settings: Any) -> UpdatesFolder:
    settings.ENV = replace(settings.ENV, home=tmp_path / "home")
    return UpdatesFolder(tmp_path / "home" / "updates")


def upload(tmp_path: Path, text: str, *roots: PublicKey) -> Result:
    (tmp_path / "set.jws").write_text(text, encoding="ascii")
    words = ["upload", str(tmp_path / "set.jws")]
    for root in roots:
        (tmp_path / "root.pub").write_bytes(root.pem())
        words += ["--root", str(tmp_path / "root.pub")]
    return CliRunner().invoke(trust_app, words)


def this_year(version: int, *keys: PublicKey, revoked: tuple[str, ...] = ()) -> str:
    now = datetime.now(UTC)
    until = now + timedelta(days=300)
    named = tuple(TrustedKey.of(key, Use.RELEASE, now, until) for key in keys or (PrivateKey.new().public,))
    return trust.make(TrustSet(version, int(now.timestamp()), int(until.timestamp()), named, revoked), ROOT)


def test_a_root_that_is_named_with_a_set_which_is_refused_is_not_believed(
    tmp_path: Path, platform: UpdatesFolder
) -> None:
    refused = upload(tmp_path, this_year(1), PrivateKey.new().public)
    assert refused.exit_code == 1
    assert "which is no root key that is known here" in refused.stderr
    assert platform.roots() == ()
    assert upload(tmp_path, this_year(1), ROOT.public).exit_code == 0
    assert platform.roots() == (ROOT.public,)


def test_a_key_that_signs_releases_and_a_root_that_is_revoked_are_not_taken_for_a_root(
    tmp_path: Path, platform: UpdatesFolder
) -> None:
    release, stolen = PrivateKey.new().public, PrivateKey.new().public
    text = this_year(1, release, revoked=(stolen.kid,))
    assert upload(tmp_path, text, ROOT.public).exit_code == 0
    for key, why in ((release, "is the release key of trust set 1"), (stolen, "is revoked by trust set 1")):
        refused = upload(tmp_path, text, key)
        assert refused.exit_code == 1
        assert why in refused.stderr
    assert platform.roots() == (ROOT.public,)


def test_who_named_a_root_key_is_written_down_once(tmp_path: Path, platform: UpdatesFolder) -> None:
    text, second = this_year(1), PrivateKey.new().public
    for root in (ROOT.public, second, second):
        assert upload(tmp_path, text, root).exit_code == 0
    named = [entry.detail.get("root") for entry in AuditEntry.objects.filter(action="trust.taken").order_by("pk")]
    assert named == [ROOT.kid, second.kid]
    assert set(platform.roots()) == {ROOT.public, second}


def test_the_roots_are_shown_with_the_set(tmp_path: Path, platform: UpdatesFolder) -> None:
    assert upload(tmp_path, this_year(1), ROOT.public).exit_code == 0
    assert f"root       {ROOT.kid}" in CliRunner().invoke(trust_app, ["show"]).stdout
    assert len(platform.roots()) == 1


def test_after_eight_revoked_keys_there_is_a_way_on(tmp_path: Path) -> None:
    """A key a year, and in the ninth year the set would be full for ever."""
    ROOT.save(tmp_path / "root.key")

    def make(*words: str) -> Result:
        return CliRunner().invoke(trust_app, ["make", *words, "--root", str(tmp_path / "root.key")])

    kids = []
    for number in range(10):
        key = PrivateKey.new()
        key.save(tmp_path / f"{number}.key")
        kids.append(key.kid)
    assert make(str(tmp_path / "0.jws"), "--release", str(tmp_path / "0.pub")).exit_code == 0
    for number in range(1, 9):
        words = ("--former", str(tmp_path / f"{number - 1}.jws"), "--release", str(tmp_path / f"{number}.pub"))
        assert make(str(tmp_path / f"{number}.jws"), *words, "--revoke", kids[number - 1]).exit_code == 0
    ninth = (str(tmp_path / "9.jws"), "--former", str(tmp_path / "8.jws"), "--release", str(tmp_path / "9.pub"))
    full = make(*ninth, "--revoke", kids[8])
    assert full.exit_code == 1
    assert "revokes at most 8 keys" in full.stderr
    assert "--forget" in full.stderr
    assert "nothing to forget" in make(*ninth, "--forget", kids[9]).stderr
    assert make(*ninth, "--revoke", kids[8], "--forget", kids[0]).exit_code == 0
    found = trust.read((tmp_path / "9.jws").read_text(encoding="ascii").strip(), [ROOT.public], None)
    assert set(found.revoked) == set(kids[1:9])
    assert [key.kid for key in found.keys] == [kids[9]]


def test_a_set_whose_keys_ended_with_it_is_made_anew_with_keys_that_are_named(tmp_path: Path) -> None:
    ROOT.save(tmp_path / "root.key")
    (tmp_path / "old.jws").write_text(made(1, datetime.now(UTC) - timedelta(days=1)), encoding="ascii")
    words = ["make", str(tmp_path / "new.jws"), "--root", str(tmp_path / "root.key"), "--former"]
    refused = CliRunner().invoke(trust_app, [*words, str(tmp_path / "old.jws")])
    assert refused.exit_code == 1
    assert "name those that go on, with --release and --assignment" in refused.stderr
    named = [*words, str(tmp_path / "old.jws"), "--release", str(tmp_path / "root.pub")]
    assert CliRunner().invoke(trust_app, named).exit_code == 0


def test_in_production_a_key_that_signs_is_not_made_in_the_servers_home(tmp_path: Path, settings: Any) -> None:
    settings.ENV, settings.TDS_PRODUCTION = replace(settings.ENV, home=tmp_path / "home"), True
    refused = CliRunner().invoke(release_app, ["keygen"])
    assert refused.exit_code == 1
    assert "belongs on another machine" in refused.stderr
    assert not (tmp_path / "home").exists()
    assert CliRunner().invoke(release_app, ["keygen", str(tmp_path / "offline")]).exit_code == 0


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
