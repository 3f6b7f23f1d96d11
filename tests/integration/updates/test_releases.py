"""Releases taken in, published and withdrawn, on a real database and disk."""

import io
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.exceptions import PermissionDenied
from django.db import close_old_connections, connection

from tds import wiring
from tds.fleet.models import AuditEntry, User
from tds.updates.models import Release, ReleaseKind, ReleaseStatus
from tds.updates.releases import desk, finding
from tds.updates.releases.desk import ReleaseRefusedError
from tds.updates.releases.files import Received, StoreError
from tds.updates.releases.forgiving import forgive
from tests import imaging, seeding
from tests.releasing import NOW, Maker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("english")]

DATA: Final = imaging.packed(version="1.1.0")


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def on_disk(maker: Maker) -> list[str]:
    return sorted(path.stem for path in maker.artifacts.folder.glob("*")) if maker.artifacts.folder.exists() else []


def refused(maker: Maker, text: str, data: bytes = DATA, **options: Any) -> list[str]:
    """Its words; nothing of it is left."""
    before = on_disk(maker), Release.objects.count(), AuditEntry.objects.count()
    with pytest.raises(ReleaseRefusedError) as caught:
        maker.take(text, data, **options)
    assert (on_disk(maker), Release.objects.count(), AuditEntry.objects.count()) == before
    return [one.reason for one in caught.value.refusals]


def test_a_release_is_taken_in_as_its_manifest_says_with_what_its_image_says(maker: Maker) -> None:
    text = maker.signed(DATA, counter=7, hardware=("A", "B"), min_source_counter=3)
    release = maker.take(f"{text}\n", DATA, notes="Less noise.").release
    release.refresh_from_db()
    assert (release.product, release.version, release.counter, release.chip) == ("dcu", "1.1.0", 7, "host")
    assert (release.families, release.hardware, release.min_source_counter) == (["dcu-0080"], ["A", "B"], 3)
    assert (release.manifest, release.key_id, release.notes) == (text, maker.key.kid, "Less noise.")
    assert (release.status, release.kind, release.released_at) == ("uploaded", "application", NOW)
    assert release.image["project"] == "dcu-0080"
    assert on_disk(maker) == [release.sha256]
    entry = AuditEntry.objects.get(action="release.uploaded")
    assert (entry.actor, entry.object_name, entry.object_id) == ("command line", "dcu 1.1.0", release.pk)


def test_the_same_upload_twice_is_one_release(maker: Maker) -> None:
    text = maker.signed(DATA)
    first, second = maker.take(text, DATA), maker.take(text, DATA)
    assert (first.again, second.again, first.release) == (False, True, second.release)
    assert AuditEntry.objects.filter(action="release.uploaded").count() == 1


def test_the_same_upload_again_brings_a_lost_file_back(maker: Maker) -> None:
    text = maker.signed(DATA)
    release = maker.take(text, DATA).release
    maker.artifacts.path(release.sha256).unlink()
    maker.take(text, DATA)
    assert on_disk(maker) == [release.sha256]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (imaging.tiny_elf("esp32", imaging.described()), "elf"),
        (b"PK\x03\x04" + bytes(100), "archive"),
        (DATA[:-1], "truncated"),
        (DATA + b"\0", "trailing"),
        (bytes(9 * 1024**2), "too_large"),
    ],
    ids=["0 bytes", "an ELF", "a zip", "truncated", "trailing", "9 MiB"],
)
def test_what_is_no_image_is_refused_and_nothing_is_left(maker: Maker, data: bytes, reason: str) -> None:
    assert refused(maker, maker.signed(DATA), data) == [reason]


def test_another_chips_image_is_refused(maker: Maker, tmp_path: Path) -> None:
    other = imaging.elf2image(tmp_path, "esp32s3").read_bytes()
    assert "wrong_chip" in refused(maker, maker.signed(DATA), other)


def test_one_flipped_bit_is_refused(maker: Maker) -> None:
    flipped = bytearray(DATA)
    flipped[100] ^= 1
    assert refused(maker, maker.signed(DATA), bytes(flipped)) == ["checksum"]


def test_an_older_release_is_refused(maker: Maker) -> None:
    maker.released("1.2.0", counter=12)
    assert refused(maker, maker.signed(DATA, counter=11)) == ["counter_not_greater"]
    assert refused(maker, maker.signed(DATA, counter=12)) == ["counter_not_greater"]


def test_the_counter_of_a_withdrawn_release_is_not_given_again(maker: Maker) -> None:
    bad = maker.released("1.0.0", counter=5)
    desk.withdraw(bad, "It burns.", by="command line", now=NOW)
    assert refused(maker, maker.signed(DATA, counter=5)) == ["counter_not_greater"]


def test_one_version_for_two_families_is_two_releases_with_one_counter(maker: Maker) -> None:
    """They are different programs; `build-manifest` makes the same counter of a version for both."""
    one, two = (imaging.packed(family.encode(), family, "1.1.0") for family in ("dcu-0080", "dcu-8000-sim"))
    first, second = maker.upload(one, counter=1_001_000), maker.upload(two, counter=1_001_000)
    assert (first.families, second.families) == (["dcu-0080"], ["dcu-8000-sim"])
    third = imaging.packed(b"for both", "dcu-0080", "1.1.0")
    both = ("dcu-0080", "dcu-8000-sim")
    assert refused(maker, maker.signed(third, counter=1_001_000, families=both), third) == ["counter_not_greater"]
    later = maker.upload(third, counter=1_001_001, families=both)
    assert later.families == ["dcu-0080", "dcu-8000-sim"]
    again = imaging.packed(b"again", "dcu-8000-sim", "1.1.0")
    assert refused(maker, maker.signed(again, counter=1_001_001), again) == ["counter_not_greater"]
    assert maker.upload(imaging.packed(b"all", "dcu-all", "1.0.0"), counter=1).families == ["dcu-all"]


def test_the_same_image_for_another_family_is_a_release_of_its_own_with_the_same_file(maker: Maker) -> None:
    maker.upload(DATA, counter=1)
    with pytest.raises(ReleaseRefusedError, match="The image is of project dcu-0080"):
        maker.upload(DATA, counter=1, families=("dcu-all",))
    assert maker.upload(DATA, counter=2, families=("dcu-0080", "dcu-all")).counter == 2
    assert len(on_disk(maker)) == 1


def test_a_test_image_counts_apart(maker: Maker) -> None:
    maker.released("1.2.0", counter=12)
    assert maker.upload(DATA, counter=1, kind=ReleaseKind.HELLO).kind == "hello"


def test_attack_a_manifest_signed_by_nobody_we_know(maker: Maker) -> None:
    stranger = Maker(maker.folder)
    assert refused(maker, stranger.signed(DATA)) == ["key_unknown"]


def test_attack_a_manifest_signed_by_a_key_that_was_revoked(maker: Maker) -> None:
    text = maker.signed(DATA)
    maker.revoked = (maker.key.kid,)
    assert refused(maker, text) == ["key_revoked"]


def test_attack_a_manifest_that_was_changed(maker: Maker) -> None:
    head, claims, signature = maker.signed(DATA).split(".")
    _head, other, _signature = maker.signed(DATA, counter=99).split(".")
    assert refused(maker, f"{head}.{other}.{signature}") == ["signature_invalid"]
    assert refused(maker, f"{head}.{claims}") == ["malformed"]
    assert refused(maker, "") == ["malformed"]


def test_a_member_of_a_tenant_can_do_none_of_it(maker: Maker) -> None:
    member = User.objects.create_user("ana")
    release = maker.upload(DATA)
    with pytest.raises(PermissionDenied):
        maker.take(maker.signed(DATA, counter=2), DATA, by=member)
    with pytest.raises(PermissionDenied):
        maker.publish(release, by=member)
    with pytest.raises(PermissionDenied):
        desk.withdraw(release, "No.", by=member, now=NOW)
    release.refresh_from_db()
    assert release.status == ReleaseStatus.UPLOADED


def test_an_operator_is_written_down_by_name(maker: Maker) -> None:
    operator = User.objects.create_superuser("rui")
    release = maker.take(maker.signed(DATA), DATA, by=operator).release
    assert release.uploaded_by == operator
    assert AuditEntry.objects.get(action="release.uploaded").actor_id == operator.pk


def test_a_release_is_published_once(maker: Maker) -> None:
    release = maker.publish(maker.upload(DATA))
    assert maker.publish(release, now=NOW + timedelta(hours=1)).published_at == NOW
    assert AuditEntry.objects.filter(action="release.published").count() == 1


def test_a_release_whose_key_was_revoked_meanwhile_is_not_published(maker: Maker) -> None:
    release = maker.upload(DATA)
    maker.revoked = (maker.key.kid,)
    with pytest.raises(ReleaseRefusedError, match="is revoked"):
        maker.publish(release)


def test_a_release_whose_file_is_lost_is_not_published(maker: Maker) -> None:
    release = maker.upload(DATA)
    maker.artifacts.path(release.sha256).unlink()
    with pytest.raises(ReleaseRefusedError, match="upload it once more"):
        maker.publish(release)


def test_a_withdrawn_release_is_that_for_good(maker: Maker) -> None:
    release = maker.released()
    with pytest.raises(ReleaseRefusedError, match="Say why"):
        desk.withdraw(release, "  ", by="command line", now=NOW)
    for _ in range(2):
        desk.withdraw(release, "It burns.", by="command line", now=NOW)
    assert AuditEntry.objects.get(action="release.withdrawn").detail["why"] == "It burns."
    with pytest.raises(ReleaseRefusedError, match=r"withdrawn for good \(It burns\.\)"):
        maker.publish(release)
    assert refused(maker, release.manifest, imaging.packed(version="1.1.0")) == ["withdrawn"]


def test_a_disk_that_is_full_leaves_no_release(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: Received) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Received, "keep", full)
    with pytest.raises(StoreError, match="No space left on device"):
        maker.upload(DATA)
    assert (Release.objects.count(), AuditEntry.objects.count(), on_disk(maker)) == (0, 0, [])


def test_files_that_no_release_has_are_removed(maker: Maker) -> None:
    release = maker.upload(DATA)
    with maker.artifacts.receive(io.BytesIO(b"left by a crash before the commit")) as received:
        received.keep()
    assert desk.clean(wiring.database_connection(), maker.artifacts, NOW) == [received.sha256]
    assert on_disk(maker) == [release.sha256]


def test_files_of_withdrawn_releases_stay(maker: Maker) -> None:
    release = maker.released()
    desk.withdraw(release, "It burns.", by="command line", now=NOW)
    assert desk.clean(wiring.database_connection(), maker.artifacts, NOW) == []
    assert on_disk(maker) == [release.sha256]


def test_before_the_first_upload_there_is_nothing_to_clean(maker: Maker) -> None:
    assert desk.clean(wiring.database_connection(), maker.artifacts, NOW) == []


@pytest.mark.django_db(transaction=True)
def test_no_file_goes_whose_release_is_about_to_be_written(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the file's name and the commit."""
    keep, cleaned, begun = Received.keep, [], threading.Event()

    def clean() -> None:
        with seeding.own_connection() as own:
            begun.set()
            cleaned.append(desk.clean(own, maker.artifacts, NOW))

    other = threading.Thread(target=clean)

    def kept(received: Received) -> None:
        keep(received)
        other.start()
        assert begun.wait(10)
        other.join(0.3)  # it waits for this upload's end
        assert cleaned == []

    monkeypatch.setattr(Received, "keep", kept)
    release = maker.upload(DATA)
    other.join(10)
    assert cleaned == [[]]
    assert on_disk(maker) == [release.sha256]


@pytest.mark.django_db(transaction=True)
def test_two_uploads_at_once_with_the_same_counter_are_one_release_and_one_sentence(maker: Maker) -> None:
    outcomes: list[str] = []
    begin = threading.Barrier(2)

    def upload(program: bytes) -> None:
        data = imaging.packed(program * 100_000)
        text = maker.signed(data, counter=5)
        begin.wait()
        try:
            maker.take(text, data)
            outcomes.append("taken")
        except ReleaseRefusedError as error:
            outcomes.append(error.refusals[0].reason)
        finally:
            connection.close()
            close_old_connections()

    threads = [threading.Thread(target=upload, args=(name,)) for name in (b"one", b"two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["counter_not_greater", "taken"]
    assert on_disk(maker) == [Release.objects.get().sha256]


def test_a_release_is_found_by_its_number_version_or_product(maker: Maker) -> None:
    release = maker.upload(DATA)
    for name in (str(release.pk), f"#{release.pk}", "1.1.0", "dcu@1.1.0", "dcu@1.1.0@host"):
        assert finding.find(name) == release
    assert finding.find("dcu@1.1.0@dcu-0080") == release
    strangers = ("dcu@1.1.0@esp32", "dcu@1.1.0@dcu-all", "dcu@1.1.0@dcu-0080@host", "@1.1.0", "dcu@1.1.0@", "@")
    for name in ("999999", "1.1", "relay@1.1.0", "", "dcu", *strangers):
        with pytest.raises(finding.NotFoundError, match="There is no release"):
            finding.find(name)
    other = maker.upload(imaging.packed(version="1.1.0", chip_id=0))
    sibling = maker.upload(imaging.packed(b"other", "dcu-8000-sim", "1.1.0"))
    for name in ("1.1.0", "dcu@1.1.0"):
        with pytest.raises(finding.NotFoundError) as caught:
            finding.find(name)
        for one, of in ((release, "dcu-0080 on host"), (other, "dcu-0080 on esp32"), (sibling, "dcu-8000-sim on host")):
            assert f"#{one.pk} (dcu 1.1.0 for {of}, application)" in str(caught.value)
    assert finding.find("dcu@1.1.0@dcu-8000-sim") == sibling
    assert finding.find("dcu@1.1.0@esp32") == other
    with pytest.raises(finding.NotFoundError, match="name it by its number"):
        finding.find("dcu@1.1.0@dcu-0080")


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_attack_a_text_that_the_database_can_not_keep_is_a_sentence(maker: Maker, text: str) -> None:
    assert refused(maker, maker.signed(DATA), notes=text) == ["unkeepable_text"]
    release = maker.released()
    with pytest.raises(ReleaseRefusedError, match="can't be kept"):
        desk.withdraw(release, text, by="command line", now=NOW)
    with pytest.raises(ReleaseRefusedError, match="can't be kept"):
        forgive(release, text, by="command line", now=NOW)
    release.refresh_from_db()
    assert release.status == "published"
