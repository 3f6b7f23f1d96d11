"""An ESP image as esptool and ESP-IDF write it ("App Image Format"), read to its last byte in small pieces. Pure.

Everything is looked at that a boot loader would look at, and more: what passes here has its own SHA-256 at its end, so
one that was cut or changed anywhere does not.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tds.updates.releases import chips, descriptor
from tds.updates.releases.descriptor import DescriptorError
from tds.updates.releases.figures import grouped

PIECE_BYTES: Final = 65_536  # read at a time
MAX_SEGMENTS: Final = 16  # ESP_IMAGE_MAX_SEGMENTS
MAGIC: Final = 0xE9
CHECKSUM_SEED: Final = 0xEF
BLOCK_BYTES: Final = 16  # the checksum is the last byte of one
HASH_BYTES: Final = 32
_HEADER: Final = struct.Struct("<BB2xI4xHBHH4xB")  # magic, segments, entry, chip, revisions (3), hash appended
_SEGMENT: Final = struct.Struct("<II")  # address, length
_ELF: Final = b"\x7fELF"
_ZIP: Final = gettext_lazy("This is a zip archive; upload the .bin that is in it.")
_GZIP: Final = gettext_lazy("This is a gzip file; upload the .bin that is in it.")
_ARCHIVES: Final[dict[bytes, Promise]] = {b"PK\x03\x04": _ZIP, b"PK\x05\x06": _ZIP, b"\x1f\x8b": _GZIP}


class Unfit(StrEnum):
    EMPTY = "empty"
    ELF = "elf"
    ARCHIVE = "archive"
    NOT_AN_IMAGE = "not_an_image"
    CHIP_UNKNOWN = "chip_unknown"
    SEGMENTS = "segments"
    TRUNCATED = "truncated"
    TRAILING = "trailing"
    TOO_LARGE = "too_large"
    CHECKSUM = "checksum"
    NO_HASH = "no_hash"
    HASH = "hash"
    NO_DESCRIPTOR = "no_descriptor"


class ImageRefusedError(Exception):
    """The text is a sentence about the file, which `reason` says in a word."""

    def __init__(self, reason: Unfit, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Source(Protocol):
    """A file that is open for reading, at its start."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of an image that is whole. `sha256` is of the file; the appended one, of what is before it."""

    chip: str
    chip_id: int
    size: int
    sha256: str
    appended_sha256: str
    segments: int
    min_chip_revision: int  # major times 100, and minor
    project: str
    version: str
    built: str
    idf: str
    secure_version: int
    elf_sha256: str


def read(file: Source) -> ImageFacts:
    """Raises ImageRefusedError. Reads no further than the largest slot there is."""
    reader = _Reader(file)
    head = reader.header()
    chip = chips.CHIPS[head.chip_id]
    reader.allow(chips.slot_bytes(chip), chip)
    first = b""
    checksum = CHECKSUM_SEED
    for number in range(head.segments):
        begins = b""
        for piece in reader.segment(number):
            begins = begins or piece
            checksum ^= _folded(piece)
        first = first or begins
    reader.check(checksum)
    appended = reader.appended_hash()
    reader.end()
    try:
        said = descriptor.read(first)
    except DescriptorError as error:
        raise ImageRefusedError(Unfit.NO_DESCRIPTOR, str(error)) from None
    return ImageFacts(
        chip=chip,
        chip_id=head.chip_id,
        size=reader.read_bytes,
        sha256=reader.sha256.hexdigest(),
        appended_sha256=appended.hex(),
        segments=head.segments,
        min_chip_revision=head.min_chip_revision,
        project=said.project,
        version=said.version,
        built=said.built,
        idf=said.idf,
        secure_version=said.secure_version,
        elf_sha256=said.elf_sha256,
    )


@dataclass(frozen=True, slots=True)
class _Header:
    segments: int
    chip_id: int
    min_chip_revision: int


class _Reader:
    """Counts and hashes what it reads, and never reads beyond what is allowed."""

    def __init__(self, file: Source) -> None:
        self.read_bytes = 0
        self.sha256 = hashlib.sha256()
        self._file = file
        self._limit = PIECE_BYTES
        self._limit_of = ""

    def header(self) -> _Header:
        start = self._read(_HEADER.size)
        if not start:
            raise ImageRefusedError(Unfit.EMPTY, _("The file is empty."))
        if start.startswith(_ELF):
            raise ImageRefusedError(
                Unfit.ELF,
                _("This is the ELF that the linker wrote; upload the .bin that esptool made of it (elf2image)."),
            )
        for mark, told in _ARCHIVES.items():
            if start.startswith(mark):
                raise ImageRefusedError(Unfit.ARCHIVE, str(told))
        if start[0] != MAGIC:
            raise ImageRefusedError(
                Unfit.NOT_AN_IMAGE,
                _("This is no ESP image: it begins with %(has)s and not with %(wanted)s.")
                % {"has": f"0x{start[0]:02x}", "wanted": f"0x{MAGIC:02x}"},
            )
        if len(start) < _HEADER.size:
            raise self._truncated(_("its header"))
        _magic, segments, _entry, chip_id, _old, revision, _most, has_hash = _HEADER.unpack(start)
        if not 1 <= segments <= MAX_SEGMENTS:
            raise ImageRefusedError(
                Unfit.SEGMENTS,
                _("Its header says %(has)d segments; 1 to %(most)d are possible. It is damaged.")
                % {"has": segments, "most": MAX_SEGMENTS},
            )
        if chip_id not in chips.CHIPS:
            raise ImageRefusedError(
                Unfit.CHIP_UNKNOWN,
                _("It is for chip %(chip)d; esptool knows none of that number.") % {"chip": chip_id},
            )
        if has_hash != 1:
            raise ImageRefusedError(
                Unfit.NO_HASH, _("It has no SHA-256 at its end; build it without --dont-append-digest.")
            )
        return _Header(segments, chip_id, revision)

    def allow(self, limit: int, chip: str) -> None:
        """Bytes in all."""
        self._limit, self._limit_of = limit, chip

    def segment(self, number: int) -> Iterator[bytes]:
        """Its data. All pieces but the last have PIECE_BYTES."""
        head = self._exactly(_SEGMENT.size, _("the head of segment %(number)d") % {"number": number + 1})
        _address, length = _SEGMENT.unpack(head)
        if length % 4:
            raise ImageRefusedError(
                Unfit.SEGMENTS,
                _("Segment %(number)d has %(length)d bytes, and boot loaders take multiples of 4 alone.")
                % {"number": number + 1, "length": length},
            )
        if self.read_bytes + length > self._limit:
            raise self._too_large(self.read_bytes + length)
        while length:
            piece = self._exactly(min(length, PIECE_BYTES), _("segment %(number)d") % {"number": number + 1})
            length -= len(piece)
            yield piece

    def check(self, checksum: int) -> None:
        padding = self._exactly(BLOCK_BYTES - self.read_bytes % BLOCK_BYTES, _("its checksum"))
        if padding[-1] != checksum:
            raise ImageRefusedError(Unfit.CHECKSUM, _("Its checksum does not fit its segments: it is damaged."))

    def appended_hash(self) -> bytes:
        of_all = self.sha256.digest()
        appended = self._exactly(HASH_BYTES, _("the SHA-256 at its end"))
        if appended != of_all:
            raise ImageRefusedError(Unfit.HASH, _("The SHA-256 at its end is not that of the image: it is damaged."))
        return appended

    def end(self) -> None:
        if self._file.read(1):
            raise ImageRefusedError(
                Unfit.TRAILING,
                _(
                    "There is more after the image, which ends at byte %(end)s: upload the application alone, and "
                    "neither a merged file nor one of a whole flash."
                )
                % {"end": grouped(self.read_bytes)},
            )
        if self.read_bytes > self._limit:
            raise self._too_large(self.read_bytes)

    def _exactly(self, size: int, what: str) -> bytes:
        data = self._read(size)
        if len(data) < size:
            raise self._truncated(what)
        return data

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        while len(data) < size and (more := self._file.read(size - len(data))):
            data += more
        self.read_bytes += len(data)
        self.sha256.update(data)
        return data

    def _truncated(self, what: str) -> ImageRefusedError:
        return ImageRefusedError(
            Unfit.TRUNCATED,
            _("It is cut off in %(what)s, after %(bytes)s bytes: transfer it once more.")
            % {"what": what, "bytes": grouped(self.read_bytes)},
        )

    def _too_large(self, size: int) -> ImageRefusedError:
        return ImageRefusedError(
            Unfit.TOO_LARGE,
            _("It has %(bytes)s bytes or more; the slot of %(chip)s has %(most)s. Make it smaller.")
            % {"bytes": grouped(size), "chip": self._limit_of, "most": grouped(self._limit)},
        )


def _folded(piece: bytes) -> int:
    """All bytes, exclusive or. By halves of a large number: some 100 times as fast as byte by byte."""
    size = len(piece)
    number = int.from_bytes(piece, "little")
    while size > 1:
        half = (size + 1) // 2
        number = (number >> 8 * half) ^ (number & ((1 << 8 * half) - 1))
        size = half
    return number
