"""What keeps messages safe on this machine's disk while the database is away: appended, synced, then acknowledged.

A folder of segments (segment.py), read again in the order in which they were written. Belongs to one thread of one
process: the folder is locked. What is read counts as done when the database says so (`done`), in the transaction of
the rows, so that a crash in between neither loses nor doubles a message.
"""

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from tds.ingest import segment
from tds.ingest.segment import HEADER_BYTES, Damage, Header, Kept, Record

SEGMENT_BYTES: Final = 16 * 1024**2
# Of payload and topics; a batch that has more becomes several records. A chunk has less than twice as much: in the
# smallest form of a reading 90,000 rows, about 50 MB of memory.
RECORD_BYTES: Final = 1024**2
SUFFIX: Final = ".spool"
# A sector that can't be read so often is damage: what stands in it is lost, and what stands behind it must not wait.
READ_TRIES: Final = 10


class SpoolFullError(Exception):
    """The spool has all the bytes it may have."""


class SpoolUnusableError(Exception):
    """Why there can be no spool in a folder, in a sentence."""


class Position(NamedTuple):
    """How far a spool was read: the next byte of a segment, and the sequence number that is expected there."""

    segment: int
    offset: int
    sequence: int


class Chunk(NamedTuple):
    """Records to be stored together. `lost` counts the messages that should have come before or between them."""

    records: list[Record]
    end: Position
    lost: int


class Spool:
    """Raises SpoolUnusableError when it can't begin, and OSError from any method when the disk fails it later."""

    def __init__(
        self,
        folder: Path,
        *,
        limit_bytes: int,
        segment_bytes: int = SEGMENT_BYTES,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._segment_bytes = segment_bytes
        self._sync = sync
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(folder)
        except OSError as error:
            raise SpoolUnusableError(
                f"The spool in {folder} can't be used: {error.strerror}; correct TDS_SPOOL_DIR or the folder's owner."
            ) from error
        self._tail: int | None = None  # descriptor of the segment that is written to; made when it is needed
        self._head: tuple[int, int] | None = None  # number and descriptor of the segment that is read
        self._unread: tuple[Position, int] | None = None  # where a read failed, and how often
        try:
            self._find_what_is_there()
        except OSError as error:
            self.close()
            raise SpoolUnusableError(
                f"The spool in {folder} can't be read: {error.strerror}; check the disk, or move the folder away."
            ) from error

    def _find_what_is_there(self) -> None:
        self._sizes = {_number(path): path.stat().st_size for path in segments(self.folder)}
        headers = [header for number in sorted(self._sizes) if (header := self._header(number))]
        self.id = headers[-1].spool_id if headers else uuid.uuid4()
        self._tail_number = max(self._sizes, default=0)
        self._next_sequence = self._end_of_last(headers)
        oldest = min(self._sizes, default=self._tail_number + 1)
        first = self._first_readable(Position(oldest, HEADER_BYTES, 0))
        begins = next((h.first_sequence for h in headers if h.number == oldest), first.sequence if first else 0)
        self.position = Position(oldest, HEADER_BYTES, begins)
        self.empty = first is None and begins >= self._next_sequence
        self.oldest_at = first.received_at if first else None  # when what is read next was received

    @property
    def messages(self) -> int:
        """How many wait; damaged ones count until they are come to."""
        return max(0, self._next_sequence - self.position.sequence)

    @property
    def size_bytes(self) -> int:
        return sum(self._sizes.values())

    def start_at(self, position: Position | None) -> None:
        """Go on reading where the database says that it was; None for a spool that it has never heard of."""
        if position is not None and position.segment >= self.position.segment:
            self.position = position
            # Of a segment that was emptied after it was read, the numbers are known to the database alone.
            self._next_sequence = max(self._next_sequence, position.sequence)
        self._arrive()

    def append(self, received_at: datetime, messages: Sequence[Kept]) -> None:
        """Keep messages, on disk when this returns. Raises SpoolFullError or OSError with none of them kept."""
        parts = list(_parts(messages))
        packed = []
        sequence = self._next_sequence
        for part in parts:
            packed.append(segment.pack_record(sequence, received_at, part))
            sequence += len(part)
        data = b"".join(packed)
        if self.size_bytes + len(data) + HEADER_BYTES > self.limit_bytes:
            raise SpoolFullError(f"the spool in {self.folder} has reached {self.limit_bytes} bytes")
        if self._tail is None or self._sizes[self._tail_number] + len(data) > self._segment_bytes:
            self._begin_segment()
        self._write(data)
        if self.empty:
            self.oldest_at = received_at
        self.empty = False
        self._next_sequence = sequence

    def read(self, most_messages: int) -> Chunk:
        """The next records, without going on; when only damage is left, none, and an `end` that is further on.

        Raises OSError when the disk does not let it be read; after READ_TRIES of the same that counts as damage.
        """
        try:
            chunk = self._chunk(most_messages)
        except OSError:
            failed_at, times = self._unread or (self.position, 0)
            self._unread = (self.position, times + 1 if failed_at == self.position else 1)
            raise
        self._unread = None
        return chunk

    def _chunk(self, most_messages: int) -> Chunk:
        records: list[Record] = []
        at, lost, count, size = self.position, 0, 0, 0
        while size < RECORD_BYTES:
            try:
                found = self._next(at)
            except OSError:
                if records:
                    break  # these are safe, and need not wait for those behind
                raise
            if found is None:
                break
            position, record = found
            if record is None:
                at = position
                continue
            if count + len(record.messages) > most_messages and records:
                break
            lost += max(0, record.sequence - at.sequence)
            records.append(record)
            count += len(record.messages)
            size += record.end - position.offset
            at = Position(position.segment, record.end, record.sequence + len(record.messages))
        if not records:
            # At the very end: what should still come was acknowledged once, and is not there any more.
            lost += max(0, self._next_sequence - at.sequence)
            at = at._replace(sequence=max(at.sequence, self._next_sequence))
        return Chunk(records, at, lost)

    def done(self, chunk: Chunk) -> None:
        """What was read is safe in the database: go on behind it, and let go of the segments before."""
        self.position = chunk.end
        self._arrive()

    def close(self) -> None:
        for descriptor in (self._tail, self._head[1] if self._head else None, self._lock):
            if descriptor is not None:
                os.close(descriptor)

    def _arrive(self) -> None:
        first = self._first_readable(self.position)
        # Damage at the end is still to be read: that is how its loss is counted.
        self.empty = first is None and self.position.sequence >= self._next_sequence
        self.oldest_at = first.received_at if first else None
        newest = max(self._sizes, default=0)
        if self.empty and self._sizes.get(newest, 0) > HEADER_BYTES:
            # Whoever looks at the folder sees that nothing waits.
            with suppress(OSError):
                try:
                    self._begin_segment()
                except OSError:
                    # The disk has no room for as much as a header. All of this one is in the database.
                    os.truncate(self._path(newest), HEADER_BYTES)
                    self._sizes[newest] = HEADER_BYTES
                    self._begin_segment()
                self.position = Position(self._tail_number, HEADER_BYTES, self._next_sequence)
        self._forget_done()

    def _first_readable(self, at: Position) -> Record | None:
        """None also while the disk fails: `read` says so where it is heard. What is in the database stays there."""
        with suppress(OSError):
            while (found := self._next(at)) is not None:
                at, record = found
                if record is not None:
                    return record
        return None

    def _next(self, at: Position) -> tuple[Position, Record | None] | None:
        """What stands at a position: itself and the record there; or another position to go on at, and None."""
        descriptor = self._open_head(at.segment)
        if descriptor is not None:
            given_up = self._unread is not None and self._unread[1] >= READ_TRIES
            found = segment.read_record(descriptor, at.offset, unreadable_as_zeros=given_up)
            if isinstance(found, Record):
                return at, found
            if isinstance(found, Damage):
                return at._replace(offset=found.end), None
        later = [number for number in self._sizes if number > at.segment]
        return (Position(min(later), HEADER_BYTES, at.sequence), None) if later else None

    def _open_head(self, number: int) -> int | None:
        if self._head is not None and self._head[0] == number:
            return self._head[1]
        if self._head is not None:
            os.close(self._head[1])
            self._head = None
        if number not in self._sizes:
            return None
        try:
            descriptor = os.open(self._path(number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            # Somebody took it away: the numbers of the next one say how many messages are missing.
            del self._sizes[number]
            return None
        self._head = (number, descriptor)
        return descriptor

    def _begin_segment(self) -> None:
        if self._tail is not None:
            os.close(self._tail)
            self._tail = None
        # Used up even when what follows fails: a file that can be neither written nor removed must not stop the next.
        self._tail_number = number = max(self._tail_number, self.position.segment - 1) + 1
        path = self._path(number)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            header = segment.pack_header(Header(self.id, number, self._next_sequence))
            _write_all(descriptor, header)
            self._sync(descriptor)
            _sync_folder(self.folder)
        except OSError:
            os.close(descriptor)
            with suppress(OSError):
                path.unlink()
            raise
        self._tail = descriptor
        self._sizes[number] = len(header)

    def _write(self, data: bytes) -> None:
        descriptor = self._tail
        if descriptor is None:
            raise RuntimeError("no segment was begun")
        size = self._sizes[self._tail_number]
        try:
            _write_all(descriptor, data)
            self._sync(descriptor)
        except OSError:
            # What stands behind `size` now is unknown, after a failed sync even what the page cache says of it. The
            # next record goes into a new segment; this one is not acknowledged, and comes again from the broker.
            with suppress(OSError):
                os.ftruncate(descriptor, size)
                if size == HEADER_BYTES:  # or a full disk would collect an empty file at each try
                    self._path(self._tail_number).unlink()
                    del self._sizes[self._tail_number]
            os.close(descriptor)
            self._tail = None
            raise
        self._sizes[self._tail_number] = size + len(data)

    def _forget_done(self) -> None:
        # The newest one stays: its header keeps the id and the numbers of this spool.
        newest = max(self._sizes, default=0)
        for number in [n for n in self._sizes if n < min(self.position.segment, newest)]:
            with suppress(OSError):  # it stays counted, and goes the next time
                self._path(number).unlink(missing_ok=True)
                del self._sizes[number]

    def _end_of_last(self, headers: Sequence[Header]) -> int:
        """The sequence number behind the last whole record."""
        end = headers[-1].first_sequence if headers else 0
        for number in sorted(self._sizes, reverse=True)[:2]:
            with self._path(number).open("rb") as file:
                offset = HEADER_BYTES
                while (found := segment.read_record(file.fileno(), offset, unreadable_as_zeros=True)) is not None:
                    offset = found.end
                    if isinstance(found, Record):
                        end = max(end, found.sequence + len(found.messages))
        return end

    def _header(self, number: int) -> Header | None:
        with suppress(OSError):  # a bad sector: the records say their numbers themselves
            return segment.read_header(self._path(number))
        return None

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:020}{SUFFIX}"


class Seen(NamedTuple):
    """What somebody else sees of a spool: `size_bytes` of what waits, and when the oldest of it was received."""

    size_bytes: int
    oldest_at: datetime | None


def look(folder: Path) -> Seen:
    """A spool from outside, while its consumer works with it or not. Raises OSError."""
    size_bytes, oldest_at = 0, None
    for path in segments(folder):
        with suppress(FileNotFoundError), path.open("rb") as file:  # read to its end meanwhile
            size_bytes += max(0, os.fstat(file.fileno()).st_size - HEADER_BYTES)
            first = segment.read_record(file.fileno(), HEADER_BYTES) if oldest_at is None else None
            oldest_at = first.received_at if isinstance(first, Record) else oldest_at
    return Seen(size_bytes, oldest_at)


def segments(folder: Path) -> list[Path]:
    """The segments in a folder, the oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())


def _number(path: Path) -> int:
    return int(path.stem)


def _parts(messages: Sequence[Kept]) -> Iterator[list[Kept]]:
    part: list[Kept] = []
    size = 0
    for message in messages:
        more = len(message.topic) * 4 + len(message.payload)
        if part and size + more > RECORD_BYTES:
            yield part
            part, size = [], 0
        part.append(message)
        size += more
    if part:
        yield part


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SpoolUnusableError(
            f"Another process uses the spool in {folder}; one consumer of a name is enough."
        ) from error
    return descriptor
