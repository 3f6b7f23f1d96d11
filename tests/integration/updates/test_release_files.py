"""Images on disk: whole under their hash or not at all, whatever happens meanwhile."""

import hashlib
import io
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tds.updates.releases import files
from tds.updates.releases.chips import MAX_IMAGE_BYTES
from tds.updates.releases.files import Artifacts, StoreError
from tds.updates.releases.image import PIECE_BYTES, ImageRefusedError, Unfit

pytestmark = pytest.mark.usefixtures("english")

DATA: Final = bytes(range(256)) * 4_096
HASH: Final = hashlib.sha256(DATA).hexdigest()
ROOT: Final = Path(__file__).parents[3]


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "updates" / "artifacts")


def keep(artifacts: Artifacts, data: bytes = DATA) -> str:
    with artifacts.receive(io.BytesIO(data)) as received:
        received.keep()
        return received.sha256


def names(artifacts: Artifacts) -> list[str]:
    return sorted(path.name for path in artifacts.folder.iterdir())


def test_a_file_is_under_its_hash_and_can_be_read_by_all_and_changed_by_nobody(artifacts: Artifacts) -> None:
    assert keep(artifacts) == HASH
    assert names(artifacts) == [f"{HASH}.bin"]
    assert artifacts.path(HASH).stat().st_mode & 0o777 == 0o444
    descriptor = artifacts.open(HASH)
    assert os.pread(descriptor, len(DATA) + 1, 0) == DATA
    os.close(descriptor)


def test_what_is_not_kept_is_gone(artifacts: Artifacts) -> None:
    with artifacts.receive(io.BytesIO(DATA)) as received:
        assert received.file.read(4) == DATA[:4]
        assert received.size == len(DATA)
    assert names(artifacts) == []


def test_a_failure_in_between_leaves_nothing(artifacts: Artifacts) -> None:
    with pytest.raises(RuntimeError), artifacts.receive(io.BytesIO(DATA)):
        raise RuntimeError
    assert names(artifacts) == []


def test_the_same_file_twice_is_one_file(artifacts: Artifacts) -> None:
    assert keep(artifacts) == keep(artifacts)
    assert names(artifacts) == [f"{HASH}.bin"]


def test_two_uploads_at_once_do_not_mix(artifacts: Artifacts) -> None:
    contents = [os.urandom(1_000_000) for _ in range(6)] * 2
    threads = [threading.Thread(target=keep, args=(artifacts, data)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hashes = {hashlib.sha256(data).hexdigest() for data in contents}
    assert names(artifacts) == sorted(f"{one}.bin" for one in hashes)
    for one in hashes:
        assert hashlib.sha256(artifacts.path(one).read_bytes()).hexdigest() == one


class Endless(io.RawIOBase):
    given = 0

    def read(self, size: int = -1, /) -> bytes:
        self.given += size
        return bytes(size)


def test_endless_data_ends_at_what_a_slot_can_hold(artifacts: Artifacts) -> None:
    endless = Endless()
    with pytest.raises(ImageRefusedError) as caught, artifacts.receive(endless):
        pass
    assert caught.value.reason == Unfit.TOO_LARGE
    assert endless.given <= MAX_IMAGE_BYTES + PIECE_BYTES
    assert names(artifacts) == []


def test_a_gigabyte_is_refused_early(artifacts: Artifacts, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.bin"
    with sparse.open("wb") as file:
        file.truncate(1 << 30)
    with sparse.open("rb") as source, pytest.raises(ImageRefusedError), artifacts.receive(source):
        pass
    assert names(artifacts) == []


WITH_LITTLE_ROOM: Final = """
import io, resource, signal, sys
from pathlib import Path
from django.conf import settings
settings.configure(USE_I18N=False)
from tds.updates.releases.files import Artifacts, StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    with Artifacts(Path(sys.argv[1])).receive(io.BytesIO(bytes(1_000_000))) as received:
        received.keep()
except StoreError as error:
    print(error)
"""


def test_a_file_that_the_system_cuts_off_leaves_nothing(artifacts: Artifacts) -> None:
    words = [sys.executable, "-c", WITH_LITTLE_ROOM, str(artifacts.folder)]
    ended = subprocess.run(words, env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True)
    assert ended.stdout == f"The image can't be kept in {artifacts.folder}: File too large. Nothing of it is left.\n"
    assert names(artifacts) == []


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Artifacts]:
    """One of 512 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount")
    yield Artifacts(folder)
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_in_the_middle_leaves_nothing_and_takes_the_next(full_disk: Artifacts) -> None:
    with pytest.raises(StoreError, match="No space left on device"):
        keep(full_disk)
    assert names(full_disk) == []
    assert shutil.disk_usage(full_disk.folder).used == 0
    small = keep(full_disk, DATA[:200_000])
    assert names(full_disk) == [f"{small}.bin"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "", "x" * 64, "A" * 64, HASH + "\n", HASH[:-1], f"/{HASH[1:]}", HASH.upper()]
)
def test_attack_a_path_in_place_of_a_hash(artifacts: Artifacts, name: str) -> None:
    keep(artifacts)
    with pytest.raises(ValueError, match="no SHA-256"):
        artifacts.open(name)


def test_attack_a_link_in_place_of_a_file(artifacts: Artifacts) -> None:
    keep(artifacts)
    other = "0" * 64
    artifacts.path(other).symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic link"):
        artifacts.open(other)


def test_removal_leaves_what_a_release_has_and_uploads_that_go_on(artifacts: Artifacts) -> None:
    kept, other = keep(artifacts), keep(artifacts, DATA[1:])
    old, young = artifacts.folder / f"{files.PARTIAL}old", artifacts.folder / f"{files.PARTIAL}young"
    for path in (old, young, artifacts.folder / "notes.txt"):
        path.write_bytes(b"x")
    now_s = young.stat().st_mtime
    os.utime(old, (now_s, now_s - files.PARTIAL_S))
    assert artifacts.remove_all_but([kept], now_s) == [other]
    assert names(artifacts) == sorted([f"{kept}.bin", young.name, "notes.txt"])


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="can't be kept in"):
        keep(Artifacts(tmp_path / "file" / "artifacts"))


def test_what_is_kept_is_synced_with_its_folder(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def note_fsync(descriptor: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")  # noqa: PTH112
        fsync(descriptor)

    def note_rename(self: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "rename", note_rename)
    keep(artifacts)
    assert steps == ["file", "rename", "folder"]


def test_no_file_is_left_open(artifacts: Artifacts) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        keep(artifacts)
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > before
