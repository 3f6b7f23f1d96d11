"""The spool on a real disk, and on one that misbehaves."""

import errno
import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tds.ingest import segment
from tds.ingest.segment import HEADER_BYTES, Kept
from tds.ingest.spool import RECORD_BYTES, Position, Seen, Spool, SpoolFullError, SpoolUnusableError, look, segments

NOW = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
AMPLE_BYTES = 1024**3
Open = Callable[..., Spool]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the same spool again and again, as a consumer that is started again does."""
    last: list[Spool] = []

    def open_it(**options: object) -> Spool:
        if last:
            last.pop().close()
        last.append(Spool(tmp_path / "spool", **({"limit_bytes": AMPLE_BYTES} | options)))  # type: ignore[arg-type]
        return last[-1]

    yield open_it
    for spool in last:
        spool.close()


def kept(*numbers: int, size: int = 40) -> list[Kept]:
    return [Kept(f"telemetry/GW-{n}/D01/data", f"{n:08}".encode().ljust(size, b"."), n % 7 == 0) for n in numbers]


def drained(spool: Spool, most: int = 10) -> tuple[list[Kept], int]:
    """All that is left, as it comes back, and how many are said to be lost."""
    messages: list[Kept] = []
    lost = 0
    while not spool.empty:
        chunk = spool.read(most)
        messages += [message for record in chunk.records for message in record.messages]
        lost += chunk.lost
        spool.done(chunk)
    return messages, lost


def test_messages_come_back_whole_and_in_order(opened: Open) -> None:
    spool = opened(segment_bytes=2_000)
    for n in range(0, 200, 4):
        spool.append(NOW + timedelta(seconds=n), kept(n, n + 1, n + 2, n + 3))
    assert (spool.messages, spool.empty, spool.oldest_at) == (200, False, NOW)
    assert len(segments(spool.folder)) > 5
    assert drained(spool) == (kept(*range(200)), 0)
    assert (spool.messages, spool.empty, spool.oldest_at) == (0, True, None)
    assert len(segments(spool.folder)) == 1  # the newest keeps the numbers


def test_a_chunk_says_when_its_messages_came(opened: Open) -> None:
    spool = opened()
    spool.append(NOW, kept(1, 2))
    spool.append(NOW + timedelta(hours=3), kept(3))
    records = spool.read(10).records
    assert [(r.received_at, r.messages) for r in records] == [(NOW, kept(1, 2)), (NOW + timedelta(hours=3), kept(3))]


def test_whoever_looks_from_outside_sees_what_waits(opened: Open) -> None:
    spool = opened(segment_bytes=500)
    assert look(spool.folder) == Seen(0, None)
    for n in range(20):
        spool.append(NOW + timedelta(seconds=n), kept(n))
    seen = look(spool.folder)
    assert seen.size_bytes > 20 * 40
    assert seen.oldest_at == NOW
    drained(spool)
    assert look(spool.folder) == Seen(0, None)
    again = opened()
    again.append(NOW, kept(20))
    assert drained(again) == (kept(20), 0)


def test_what_was_read_but_not_done_comes_again(opened: Open) -> None:
    spool = opened()
    spool.append(NOW, kept(1, 2))
    first = spool.read(10)
    assert spool.read(10) == first
    spool.done(first)
    assert spool.empty


def test_a_killed_consumer_finds_all_again_where_the_database_says_that_it_was(opened: Open) -> None:
    spool = opened(segment_bytes=500)
    for n in range(50):
        spool.append(NOW, kept(n))
    chunk = spool.read(20)
    spool.done(chunk)
    again = opened(segment_bytes=500)
    assert again.id == spool.id
    again.start_at(chunk.end)
    again.append(NOW, kept(50))
    assert drained(again) == (kept(*range(20, 51)), 0)


def test_without_the_databases_word_all_that_is_there_comes_again(opened: Open) -> None:
    spool = opened()
    spool.append(NOW, kept(1))
    again = opened()
    again.start_at(None)
    assert drained(again) == (kept(1), 0)


def test_numbers_go_on_after_all_was_read(opened: Open) -> None:
    spool = opened()
    spool.append(NOW, kept(1))
    done = spool.read(10)
    spool.done(done)
    again = opened()
    again.start_at(done.end)
    assert again.empty
    again.append(NOW, kept(2))
    assert drained(again) == (kept(2), 0)


def test_a_deleted_folder_is_a_new_spool(opened: Open) -> None:
    spool = opened()
    spool.append(NOW, kept(1))
    for path in segments(spool.folder):
        path.unlink()
    again = opened()
    assert again.id != spool.id
    assert again.empty


def test_a_full_spool_takes_nothing_and_keeps_what_it_has(opened: Open) -> None:
    spool = opened(limit_bytes=1_000)
    taken = 0
    with pytest.raises(SpoolFullError):  # noqa: PT012  # which append it is, is not the point
        while True:
            spool.append(NOW, kept(taken))
            taken += 1
    assert taken > 3
    assert spool.size_bytes <= 1_000
    assert drained(spool) == (kept(*range(taken)), 0)


def test_room_comes_back_with_what_is_done(opened: Open) -> None:
    spool = opened(limit_bytes=3_000, segment_bytes=800)
    for n in range(500):
        try:
            spool.append(NOW, kept(n))
        except SpoolFullError:
            assert drained(spool)[1] == 0
            spool.append(NOW, kept(n))
    assert spool.messages < 100


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_in_the_middle_takes_nothing_and_loses_nothing(opened: Open, number: int) -> None:
    failing = False

    def sync(descriptor: int) -> None:
        if failing:
            raise OSError(number, os.strerror(number))

    spool = opened(sync=sync)
    spool.append(NOW, kept(1))
    failing = True
    with pytest.raises(OSError, match=os.strerror(number)):
        spool.append(NOW, kept(2))
    with pytest.raises(OSError, match=os.strerror(number)):
        spool.append(NOW, kept(2))
    failing = False
    spool.append(NOW, kept(2))
    assert drained(opened()) == (kept(1, 2), 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=1m tmpfs {disk} 2>/dev/null") != 0:
        pytest.skip("mounting a small disk is not allowed here")
    spool = Spool(disk / "spool", limit_bytes=AMPLE_BYTES)
    try:
        taken = 0
        with pytest.raises(OSError, match="No space"):  # noqa: PT012
            while True:
                spool.append(NOW, kept(*range(taken, taken + 100), size=200))
                taken += 100
        assert taken > 1_000
        assert drained(spool, 500) == (kept(*range(taken), size=200), 0)
        spool.append(NOW, kept(taken))
        assert drained(spool) == (kept(taken), 0)
    finally:
        spool.close()
        os.system(f"umount {disk}")


@pytest.mark.parametrize("cut", [1, 10, 40, 60])
def test_a_torn_last_record_was_never_acknowledged_and_costs_nothing(opened: Open, cut: int) -> None:
    spool = opened()
    for n in range(3):
        spool.append(NOW, kept(n))
    [path] = segments(spool.folder)
    os.truncate(path, path.stat().st_size - cut)
    again = opened()
    again.append(NOW, kept(9))
    assert drained(again) == (kept(0, 1, 9), 0)


def test_a_segment_torn_at_its_birth_costs_nothing(opened: Open) -> None:
    spool = opened()
    spool.append(NOW, kept(1))
    (spool.folder / f"{2:020}.spool").write_bytes(b"TDSS")
    again = opened()
    again.append(NOW, kept(2))
    assert drained(again) == (kept(1, 2), 0)


def test_a_corrupt_record_costs_exactly_its_own_messages_and_says_how_many(opened: Open) -> None:
    spool = opened()
    spool.append(NOW, kept(0, 1))
    before = segments(spool.folder)[0].stat().st_size
    spool.append(NOW, kept(2, 3, 4))
    spool.append(NOW, kept(5))
    for offset in (before + 3, before + 60):  # in its header, and in its body
        path = segments(spool.folder)[0]
        whole = path.read_bytes()
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0xFF]) + whole[offset + 1 :])
        again = opened()
        assert drained(again) == (kept(0, 1, 5), 3)
        path.write_bytes(whole)


def test_a_corrupt_end_of_a_segment_in_the_middle_is_counted(opened: Open) -> None:
    spool = opened(segment_bytes=200)
    for n in range(4):
        spool.append(NOW, kept(n))
    paths = segments(spool.folder)
    os.truncate(paths[1], HEADER_BYTES + 20)
    assert drained(opened()) == (kept(0, 2, 3), 1)


def test_a_segment_that_is_gone_is_counted(opened: Open) -> None:
    spool = opened(segment_bytes=200)
    for n in range(4):
        spool.append(NOW, kept(n))
    segments(spool.folder)[2].unlink()
    assert drained(opened()) == (kept(0, 1, 3), 1)


def test_a_corrupt_header_of_a_segment_costs_nothing(opened: Open) -> None:
    spool = opened()
    for n in range(3):
        spool.append(NOW, kept(n))
    [path] = segments(spool.folder)
    path.write_bytes(b"\0" * HEADER_BYTES + path.read_bytes()[HEADER_BYTES:])
    assert drained(opened()) == (kept(0, 1, 2), 0)


def test_a_message_that_holds_the_mark_of_a_record_does_not_confuse_the_search(opened: Open) -> None:
    spool = opened()
    trap = Kept("t", segment.RECORD_MAGIC * 20, retained=False)
    spool.append(NOW, [trap])
    spool.append(NOW, [trap, *kept(2)])
    [path] = segments(spool.folder)
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 9] ^= 1
    path.write_bytes(data)
    assert drained(opened()) == ([trap, *kept(2)], 1)


def test_a_batch_of_large_messages_becomes_records_of_a_bounded_size(opened: Open) -> None:
    spool = opened()
    large = kept(*range(50), size=262_144)
    spool.append(NOW, large)
    chunk = spool.read(5_000)
    assert sum(len(m.payload) for r in chunk.records for m in r.messages) <= 2 * RECORD_BYTES
    assert drained(spool, 5_000) == (large, 0)


def test_a_spool_belongs_to_one_process(opened: Open) -> None:
    spool = opened()
    with pytest.raises(SpoolUnusableError, match="Another process uses the spool"):
        Spool(spool.folder, limit_bytes=AMPLE_BYTES)


def test_a_folder_that_can_not_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnusableError, match="correct TDS_SPOOL_DIR"):
        Spool(tmp_path / "file/spool", limit_bytes=AMPLE_BYTES)


def test_nobody_else_may_read_it(opened: Open) -> None:
    spool = opened()
    spool.append(NOW, kept(1))
    assert [oct(path.stat().st_mode)[-3:] for path in (spool.folder, *segments(spool.folder))] == ["700", "600"]


def test_a_position_of_a_segment_that_is_gone_does_not_stop_the_reading(opened: Open) -> None:
    spool = opened()
    spool.append(NOW, kept(1))
    again = opened()
    again.start_at(Position(0, HEADER_BYTES, 0))
    assert drained(again) == (kept(1), 0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), flips=st.integers(1, 4))
def test_whatever_is_damaged_the_rest_comes_back_and_the_loss_is_said_exactly(
    tmp_path_factory: pytest.TempPathFactory, seed: int, flips: int
) -> None:
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, limit_bytes=AMPLE_BYTES, segment_bytes=chance.choice([300, 1_000, 10_000]))
    total = 0
    for _ in range(chance.randint(1, 20)):
        count = chance.randint(1, 5)
        spool.append(NOW, kept(*range(total, total + count)))
        total += count
    spool.append(NOW, kept(total))  # the last one stays whole: a damaged end looks like a torn one
    total += 1
    end = segments(folder)[-1].stat().st_size - 200
    for path in segments(folder):
        data = bytearray(path.read_bytes())
        limit = min(len(data), end) if path == segments(folder)[-1] else len(data)
        for _ in range(flips):
            if limit > 0:
                data[chance.randrange(limit)] ^= chance.randint(1, 255)
        path.write_bytes(data)
    spool.close()
    again = Spool(folder, limit_bytes=AMPLE_BYTES)
    messages, lost = drained(again)
    again.close()
    sent = kept(*range(total))
    assert [m for m in sent if m in messages] == messages
    # What was destroyed before the first record that can be read has left no trace of how much it was.
    first = sent.index(messages[0])
    assert len(messages) + lost == total - (first if lost + len(messages) < total else 0)
