"""`tds release …` as a person and a script use it, from the key to a published release."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from django.utils import timezone
from typer import Typer
from typer.testing import CliRunner, Result

from tds.environment import ROOT
from tds.fleet.models import AuditEntry
from tds.updates import models
from tds.updates.folders import UpdatesFolder
from tds.updates.models import KnownBad, Release, UnsignedFetch
from tds.updates.releases.release_commands import release_app
from tds.updates.releases.trust_commands import trust_app
from tds.updates.rollouts import roster
from tds.updates.signed import trust
from tds.updates.signed.keys import PrivateKey
from tests import imaging, rolling_out, seeding
from tests.releasing import Maker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("english")]

PACK: Final = ROOT / "firmware" / "tools" / "pack_image.py"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> Path:
    folder = tmp_path / "home"
    settings.ENV = replace(settings.ENV, home=folder)
    return folder


@pytest.fixture
def maker(home: Path) -> Maker:
    """Whose key the platform believes."""
    made = Maker(home / "updates", now=timezone.now())
    document = trust.make(made.trusted, PrivateKey.new())
    models.TrustSet.objects.create(version=1, document=document, expires_at=made.trusted.expires_at)
    return made


def run(*words: object, app: Typer = release_app) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def said(*words: object, app: Typer = release_app) -> Any:
    result = run(*words, "--json", app=app)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def told(*words: object, app: Typer = release_app) -> str:
    """In one sentence, to a person."""
    result = run(*words, app=app)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def refused(*words: object) -> str:
    """The sentence; nothing was changed."""
    before = list(Release.objects.values()), AuditEntry.objects.count()
    result = run(*words)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert "Traceback" not in result.stderr
    assert (list(Release.objects.values()), AuditEntry.objects.count()) == before
    return result.stderr.strip()


class Files:
    """An image and its manifest, as they come from the machine that builds."""

    def __init__(self, maker: Maker, folder: Path, built: str = "1.1.0", **manifest: Any) -> None:
        data = imaging.packed(b"#!/bin/sh\n", version=built)
        self.image, self.manifest = folder / f"{built}.bin", folder / f"{built}.jws"
        self.image.write_bytes(data)
        self.manifest.write_text(f"{maker.signed(data, **manifest)}\n")


@pytest.fixture
def files(maker: Maker, tmp_path: Path) -> Files:
    return Files(maker, tmp_path, counter=5)


def test_a_trust_set_of_one_key_is_told_of_as_one(tmp_path: Path) -> None:
    root, key = said("keygen", tmp_path, "--root"), said("keygen", tmp_path / "other")
    words = ["make", tmp_path / "trust.jws", "--root", root["key"], "--release", key["public"]]
    assert "Trust set 1 with 1 key is in " in told(*words, app=trust_app)


# From the key to what gateways get.


def test_from_a_new_key_to_a_published_release(home: Path, tmp_path: Path) -> None:
    """Every step that a person takes, with a program of this machine in an image as the packer makes it."""
    image, claims, offline = tmp_path / "app.bin", tmp_path / "app.json", tmp_path / "offline"
    words = [PACK, "/bin/true", image, "--project", "dcu-0080", "--version", "1.2.3", "--secure-version", "0"]
    subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True)
    root, key = said("keygen", offline, "--root"), said("keygen", offline)
    assignment = said("assignment-key", app=trust_app)
    words = ["make", tmp_path / "trust.jws", "--root", root["key"], "--release", key["public"]]
    said(*words, "--assignment", assignment["file"], app=trust_app)
    said("upload", tmp_path / "trust.jws", "--root", root["public"], app=trust_app)

    built = said("build-manifest", image, claims, "--product", "dcu")
    assert (built["version"], built["counter"], built["families"]) == ("1.2.3", 1_002_003, ["dcu-0080"])
    signed = said("sign", claims, "--key", key["key"])
    assert (signed["kid"], Path(signed["file"])) == (key["kid"], tmp_path / "app.jws")
    done = said("upload", image, signed["file"], "--publish", "--notes", "Less noise.")

    release = Release.objects.get()
    assert (done["id"], done["status"], done["again"]) == (release.pk, "published", False)
    assert (release.manifest_sha256, release.key_id) == (signed["manifest_sha256"], key["kid"])
    kept = UpdatesFolder(home / "updates").artifacts / f"{release.sha256}.bin"
    assert kept.read_bytes() == image.read_bytes()
    actions = AuditEntry.objects.order_by("pk").values_list("action", "actor")
    deeds = ("trust.taken", "release.uploaded", "release.published")
    assert list(actions) == [(deed, "command line") for deed in deeds]
    shown = said("show", "1.2.3")
    assert (shown["notes"], shown["image"]["project"], shown["manifest"]) == (
        "Less noise.",
        "dcu-0080",
        release.manifest,
    )


def test_the_same_version_for_another_family_gets_the_same_counter_and_is_taken(maker: Maker, tmp_path: Path) -> None:
    maker.key.save(tmp_path / "release.key")
    for family in ("dcu-0080", "dcu-8000-sim"):
        image, claims = tmp_path / f"{family}.bin", tmp_path / f"{family}.json"
        image.write_bytes(imaging.packed(family.encode(), family, "1.1.0"))
        said("build-manifest", image, claims, "--product", "dcu")
        said("sign", claims, "--key", tmp_path / "release.key")
        said("upload", image, claims.with_suffix(".jws"), "--publish")
    assert set(Release.objects.values_list("counter", "version")) == {(1_001_000, "1.1.0")}
    sentence = refused("show", "dcu@1.1.0")
    assert "'dcu@1.1.0' is more than one release; name it by its number, or as PRODUCT@VERSION@FAMILY: #" in sentence
    assert "dcu 1.1.0 for dcu-0080 on host" in sentence
    assert said("show", "dcu@1.1.0@dcu-8000-sim")["families"] == ["dcu-8000-sim"]


def test_what_happens_is_said_to_a_person(files: Files) -> None:
    sentence = told("upload", files.image, files.manifest)
    number = Release.objects.get().pk
    assert sentence == (
        f"Release #{number}, dcu 1.1.0 for dcu-0080 on host, is taken in. Next: ./tds release publish {number}"
    )
    assert "was there already." in told("upload", files.image, files.manifest)
    assert told("publish", number) == f"Release #{number}, dcu 1.1.0, is published."
    assert told("upload", files.image, files.manifest).endswith("was there already. It is published.")
    [line] = told("list").splitlines()
    assert line.split() == [f"#{number}", "dcu", "1.1.0", "5", "host", "application", "published", "dcu-0080"]
    assert told("withdraw", number, "--why", "It burns.") == (
        f"Release #{number}, dcu 1.1.0, is withdrawn (It burns.). Rollouts of it that run halt within seconds; a "
        "gateway that is downloading it gives it up, and one that runs it keeps it."
    )
    assert "withdrawn_why       It burns." in told("show", number)
    assert told("list", "--product", "relay") == "There is no release yet: ./tds release upload"


def test_scripts_get_one_document(files: Files) -> None:
    uploaded = said("upload", files.image, files.manifest, "--hello")
    assert (uploaded["kind"], uploaded["status"], uploaded["published_at"]) == ("hello", "uploaded", None)
    assert said("publish", uploaded["id"])["status"] == "published"
    assert said("withdraw", uploaded["id"], "--why", "x")["withdrawn_why"] == "x"
    assert [one["id"] for one in said("list")["releases"]] == [uploaded["id"]]
    assert said("show", uploaded["id"])["unsigned"] == []


def test_gateways_that_take_the_unsigned_file_alone_are_shown_with_the_release() -> None:
    release = rolling_out.release()
    tenant = seeding.tenant("acme")
    gateways = [seeding.gateway(tenant, f"GW-{number:02}") for number in range(22)]
    for gateway in gateways:
        UnsignedFetch.objects.create(gateway=gateway, release=release, fetched_at=rolling_out.T0)
    rolling_out.running(gateways[0]).save()  # it has reported a trust set
    shown = said("show", release.pk)
    assert (shown["unsigned_count"], len(shown["unsigned"])) == (21, 20)
    assert shown["unsigned"][0] == {"gateway": "GW-01", "tenant": "acme", "at": "2026-02-18T18:30:00+00:00"}
    text = told("show", release.pk)
    assert "21 gateways take the unsigned file alone, and never reported that they believe a key:" in text
    assert text.endswith("  GW-20 of acme, last at 2026-02-18T18:30:00+00:00\n  …")
    UnsignedFetch.objects.exclude(gateway=gateways[1]).delete()
    one = "1 gateway takes the unsigned file alone, and never reported that it believes a key:\n  GW-01 of acme"
    assert one in told("show", release.pk)


def test_a_release_is_forgiven_on_one_hardware_and_the_trail_says_why() -> None:
    release, tenant = rolling_out.release(), seeding.tenant("acme")
    for hardware in "AB":
        rolling_out.known_bad(release, tenant, hardware)
    done = said("forgive", release.pk, "--hardware", "B", "--why", "A bad cable.")
    assert done["forgiven"] == [{"family": "dcu-0080", "hardware": "B", "rolled_back": 2}]
    assert roster.release_facts(release).bad_on == {("dcu-0080", "A", tenant.pk)}
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.object_name) == ("release.forgiven", "command line", "dcu 1.1.0")
    assert entry.detail == {"family": "dcu-0080", "hardware": "B", "rolled_back": 2, "why": "A bad cable."}
    assert "is forgiven on dcu-0080 A." in told("forgive", release.pk, "--why", "A bad cable.")
    assert not roster.release_facts(release).bad_on


def test_what_did_not_roll_back_or_is_forgiven_already_is_not_forgiven_and_never_without_a_reason() -> None:
    release = rolling_out.release()
    KnownBad.objects.create(release=release, family="dcu-0080", hardware="A", rolled_back=2, last_at=rolling_out.T0)
    assert "Say why it is forgiven" in refused("forgive", release.pk, "--why", " ")
    for where in (("--family", "dcu-all"), ("--hardware", "C")):
        assert "There is nothing to forgive" in refused("forgive", release.pk, *where, "--why", "x")
    told("forgive", release.pk, "--why", "x")
    assert "There is nothing to forgive" in refused("forgive", release.pk, "--why", "x")


# What is refused.


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ({"sha256": "0" * 64}, "The file's SHA-256 begins with"),
        ({"size": 9}, "and the manifest is of one with 9:"),
        ({"chip": "esp32"}, "The image is for host, and the manifest is for esp32: build one anew."),
        ({"product": "toaster"}, "There is no product toaster; there are: dcu, relay."),
        ({"families": ("dcu-0080", "relay-mfr")}, "Product dcu has no family relay-mfr; it has: dcu-0080, "),
        ({"families": ("dcu-all",)}, "The image is of project dcu-0080, and the manifest is for dcu-all."),
        ({"version": "1.1.1"}, "The image says that it is 1.1.0, and the manifest 1.1.1: devices report"),
        ({"counter": 4}, "Its counter is 4, and 1.0.0, the last release for dcu-0080 on host, has 4: build"),
        ({"counter": 9, "min_source_counter": 9}, "nobody could ever take it."),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_a_sentence(
    maker: Maker, tmp_path: Path, manifest: dict[str, Any], sentence: str
) -> None:
    maker.released("1.0.0", counter=4)
    found = Files(maker, tmp_path, **{"counter": 5} | manifest)
    assert sentence in refused("upload", found.image, found.manifest, "--publish")


def test_a_debug_build_is_refused(maker: Maker, tmp_path: Path) -> None:
    found = Files(maker, tmp_path, "1.1.0-dirty")
    sentence = "Version 1.1.0-dirty is no release (dirty): build it from a clean tree at its tag."
    assert refused("upload", found.image, found.manifest) == sentence


def test_all_that_is_wrong_is_a_line_each_and_a_word_each_for_scripts(maker: Maker, tmp_path: Path) -> None:
    found = Files(maker, tmp_path, product="toaster", chip="esp32")
    assert len(refused("upload", found.image, found.manifest).splitlines()) == 2
    result = run("upload", found.image, found.manifest, "--json")
    assert result.exit_code == 1
    refusals = json.loads(result.stdout)["refused"]
    assert [one["reason"] for one in refusals] == ["wrong_chip", "wrong_product"]
    assert all(one["sentence"] for one in refusals)


def test_what_is_no_image_is_refused(files: Files) -> None:
    files.image.write_bytes(b"")
    assert refused("upload", files.image, files.manifest) == "The file is empty."
    result = run("upload", files.image, files.manifest, "--json")
    assert json.loads(result.stdout) == {"refused": [{"reason": "empty", "sentence": "The file is empty."}]}


def test_attack_a_manifest_of_a_strangers_key(files: Files, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    theirs = Files(Maker(tmp_path), tmp_path / "theirs")
    assert "is no release key of trust set 1: sign with one that is" in refused("upload", files.image, theirs.manifest)


def test_attack_a_manifest_that_was_changed(files: Files) -> None:
    text = files.manifest.read_text()
    files.manifest.write_text(text.replace(".", "..", 1))
    assert "is no JWS in compact form" in refused("upload", files.image, files.manifest)
    files.manifest.write_text("x" * 100_000)
    assert "at most 1536 are taken" in refused("upload", files.image, files.manifest)


def test_files_that_are_not_there_are_named(files: Files, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    assert refused("upload", nothing, files.manifest) == f"{nothing} can't be read: No such file or directory."
    assert refused("upload", files.image, nothing) == f"{nothing} can't be read: No such file or directory."
    assert "can't be read" in refused("build-manifest", nothing, tmp_path / "out", "--product", "dcu")
    assert "can't be read or written" in refused("sign", nothing, "--key", nothing)


def test_without_a_trust_set_nobody_is_believed(files: Files) -> None:
    number = said("upload", files.image, files.manifest)["id"]
    models.TrustSet.objects.all().delete()
    for words in (("upload", files.image, files.manifest), ("publish", number)):
        assert "There is no trust set yet" in refused(*words)


def test_what_can_not_be_published_says_why(files: Files, maker: Maker) -> None:
    number = said("upload", files.image, files.manifest)["id"]
    maker.artifacts.path(Release.objects.get().sha256).unlink()
    assert "upload it once more." in refused("publish", number)
    said("withdraw", number, "--why", "It burns.")
    assert refused("publish", number) == "dcu 1.1.0 is withdrawn for good (It burns.): make another release."
    assert refused("upload", files.image, files.manifest) == (
        "dcu 1.1.0 is withdrawn for good (It burns.): make another release."
    )
    result = run("publish", number, "--json")
    assert (result.exit_code, json.loads(result.stdout)["refused"][0]["reason"]) == (1, "withdrawn")


def test_a_withdrawal_needs_its_reason(files: Files) -> None:
    number = said("upload", files.image, files.manifest)["id"]
    assert refused("withdraw", number, "--why", " ") == "Say why it is withdrawn, in 1 to 200 characters."
    assert "200" in refused("withdraw", number, "--why", "x" * 201)
    assert run("withdraw", number).exit_code == 2


@pytest.mark.parametrize("words", [("publish", "9.9.9"), ("withdraw", "9.9.9", "--why", "x"), ("show", "9.9.9")])
def test_a_release_that_is_not_there_is_said(words: tuple[str, ...]) -> None:
    assert refused(*words) == "There is no release '9.9.9'; ./tds release list shows all."


def test_notes_that_are_too_long_are_refused(files: Files) -> None:
    sentence = "The notes have 20,001 characters; 20,000 are taken."
    assert refused("upload", files.image, files.manifest, "--notes", "x" * 20_001) == sentence


def test_a_folder_that_takes_nothing_is_said(files: Files, home: Path) -> None:
    (home / "updates").mkdir(parents=True)
    (home / "updates" / "artifacts").write_text("no folder")
    assert "can't be kept in" in refused("upload", files.image, files.manifest)


def test_the_signing_commands_refuse_with_a_sentence(files: Files, tmp_path: Path) -> None:
    key, claims = tmp_path / "release.key", tmp_path / "m.json"
    said("keygen", tmp_path)
    assert "is there already; name another folder." in refused("keygen", tmp_path)
    files.image.write_bytes(imaging.packed(version="1.2.0-rc.1"))
    assert "No counter can be made of version 1.2.0-rc.1: say it with --counter" in refused(
        "build-manifest", files.image, claims, "--product", "dcu"
    )
    assert said("build-manifest", files.image, claims, "--product", "dcu", "--counter", "7")["counter"] == 7
    claims.write_text("{}")
    assert "The claims of the manifest are not as they must be" in refused("sign", claims, "--key", key)
    files.image.write_bytes(b"PK\x03\x04" + bytes(100))
    assert "This is a zip archive; upload the .bin that is in it." in refused(
        "build-manifest", files.image, claims, "--product", "dcu"
    )
