"""A spool whose disk gives back errors: nothing waits for ever, and what is lost is counted."""

import errno
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tds.ingest.segment import HEADER_BYTES, SECTOR_BYTES, Kept
from tds.ingest.spool import READ_TRIES, Spool, look, segments

NOW = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
Open = Callable[..., Spool]
Fail = Callable[[int], None]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    last: list[Spool] = []

    def open_it(**options: int) -> Spool:
        if last:
            last.pop().close()
        last.append(Spool(tmp_path / "spool", limit_bytes=1024**3, segment_bytes=options.get("segment_bytes", 10**6)))
        return last[-1]

    yield open_it
    for spool in last:
        spool.close()


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[range], None]:
    """Makes every read that touches some bytes of a file fail, as a bad sector does."""
    pread, bad = os.pread, [range(0)]

    def failing(descriptor: int, count: int, offset: int) -> bytes:
        if offset < bad[0].stop and bad[0].start < offset + count:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", failing)

    def set_bad(found: range) -> None:
        bad[0] = found

    return set_bad


def record(n: int) -> list[Kept]:
    """Larger than a sector, so that one bad sector is in one record."""
    return [Kept("telemetry/GW/D/data", f"{n:08}".encode() * 2_000, retained=False)]


def numbers(spool: Spool, most: int = 100) -> list[int]:
    chunk = spool.read(most)
    spool.done(chunk)
    return [int(message.payload[:8]) for found in chunk.records for message in found.messages]


def sector_of(spool: Spool, n: int) -> range:
    """A sector in the middle of the n-th record of the first segment."""
    [path] = segments(spool.folder)
    each = (path.stat().st_size - HEADER_BYTES) // 4
    start = (HEADER_BYTES + n * each + each // 2) // SECTOR_BYTES * SECTOR_BYTES
    return range(start, start + SECTOR_BYTES)


def filled(opened: Open) -> Spool:
    spool = opened()
    for n in range(4):
        spool.append(NOW, record(n))
    return spool


def test_what_stands_before_a_bad_sector_is_read_at_once_and_a_passing_fault_costs_nothing(
    opened: Open, unreadable: Callable[[range], None]
) -> None:
    spool = filled(opened)
    unreadable(sector_of(spool, 2))
    assert numbers(spool) == [0, 1]
    for _ in range(READ_TRIES - 1):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            spool.read(100)
    unreadable(range(0))
    assert numbers(spool) == [2, 3]
    assert spool.empty


def test_a_sector_that_stays_unreadable_costs_its_record_and_nothing_behind_it_waits(
    opened: Open, unreadable: Callable[[range], None]
) -> None:
    spool = filled(opened)
    unreadable(sector_of(spool, 2))
    assert numbers(spool) == [0, 1]
    for _ in range(READ_TRIES):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            spool.read(100)
    chunk = spool.read(100)
    assert (len(chunk.records), chunk.lost) == (1, 1)
    spool.done(chunk)
    assert spool.empty


def test_a_spool_with_a_bad_sector_is_opened_and_its_numbers_go_on(
    opened: Open, unreadable: Callable[[range], None]
) -> None:
    spool = filled(opened)
    unreadable(sector_of(spool, 2))
    again = opened()
    assert (again.id, again.empty, again.messages) == (spool.id, False, 4)
    again.append(NOW, record(4))
    assert numbers(again) == [0, 1]
    for _ in range(READ_TRIES):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            again.read(100)
    chunk = again.read(100)
    assert (len(chunk.records), chunk.lost) == (2, 1)


def test_a_fault_after_the_commit_does_not_end_the_reading(opened: Open, unreadable: Callable[[range], None]) -> None:
    spool = filled(opened)
    chunk = spool.read(1)
    unreadable(sector_of(spool, 1))
    spool.done(chunk)  # in the database already: nothing may be raised any more
    assert not spool.empty
    unreadable(range(0))
    assert numbers(spool) == [1, 2, 3]


def test_a_segment_that_is_taken_away_under_way_is_skipped_and_counted(opened: Open) -> None:
    spool = opened(segment_bytes=20_000)
    for n in range(4):
        spool.append(NOW, record(n))
    segments(spool.folder)[2].unlink()
    chunk = spool.read(100)
    assert ([found.sequence for found in chunk.records], chunk.lost) == ([0, 1, 3], 1)
    spool.done(chunk)
    assert spool.empty


def test_a_segment_that_can_not_be_removed_goes_later(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = opened(segment_bytes=20_000)
    for n in range(3):
        spool.append(NOW, record(n))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refused)
        assert numbers(spool, 1) == [0]
        assert numbers(spool, 1) == [1]
        assert len(segments(spool.folder)) == 3
    assert numbers(spool, 1) == [2]
    assert len(segments(spool.folder)) == 1


def refused(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_disk_that_refuses_again_and_again_collects_no_empty_files(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened()
    spool.append(NOW, record(0))
    before = len(segments(spool.folder))
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > HEADER_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        for _ in range(20):
            with pytest.raises(OSError, match="No space"):
                spool.append(NOW, record(1))
    assert len(segments(spool.folder)) == before
    spool.append(NOW, record(1))
    assert numbers(spool) == [0, 1]


def test_a_file_that_can_be_neither_written_nor_removed_does_not_stop_the_next(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened()

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        patched.setattr(Path, "unlink", refused)
        with pytest.raises(OSError, match="No space"):
            spool.append(NOW, record(0))
    spool.append(NOW, record(0))
    assert numbers(spool) == [0]
    again = opened()
    again.append(NOW, record(1))
    assert numbers(again) == [1]


def test_a_spool_that_filled_its_disk_is_empty_when_all_of_it_is_read(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened()
    spool.append(NOW, record(0))
    chunk = spool.read(100)
    write, [path] = os.write, segments(spool.folder)

    def full(descriptor: int, data: bytes) -> int:
        if path.stat().st_size > HEADER_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        spool.done(chunk)
    assert look(spool.folder).size_bytes == 0
    again = opened()
    again.start_at(chunk.end)  # as the database has it
    assert again.empty
    again.append(NOW, record(1))
    assert again.messages == 1
    assert numbers(again) == [1]


def test_a_spool_that_was_emptied_and_then_killed_goes_on_behind_what_the_database_has(opened: Open) -> None:
    spool = opened()
    spool.append(NOW, record(0))
    chunk = spool.read(100)
    [path] = segments(spool.folder)
    os.truncate(path, HEADER_BYTES)
    again = opened()
    again.start_at(chunk.end)
    assert again.empty
    again.append(NOW, record(1))
    chunk = again.read(100)
    assert ([found.sequence for found in chunk.records], chunk.lost) == ([1], 0)
