"""What an application says of itself: ESP-IDF's `esp_app_desc_t`, the first 256 bytes of its data. Pure."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.utils.translation import gettext as _

BYTES: Final = 256
MAGIC: Final = 0xABCD5432
MAX_TEXT_CHARS: Final = 31
_FORM: Final = struct.Struct("<II8x32s32s16s16s32s32s80x")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class DescriptorError(Exception):
    """The text is a sentence."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """`built` is as the compiler wrote it, in its own time zone; empty where builds are to be reproducible."""

    project: str
    version: str
    built: str
    idf: str
    secure_version: int
    elf_sha256: str

    @property
    def built_at(self) -> datetime | None:
        """`built` as a moment, taken for UTC; None where it is no date as C compilers write it."""
        try:
            month, day, year, clock = self.built.split()
            hour, minute, second = map(int, clock.split(":"))
            return datetime(int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC)
        except ValueError:
            return None


def read(data: bytes) -> Descriptor:
    """Raises DescriptorError."""
    if len(data) < BYTES:
        raise DescriptorError(
            _("Its first segment is shorter than an app descriptor: it is no application of ESP-IDF.")
        )
    magic, secure_version, version, project, clock, date, idf, elf_sha256 = _FORM.unpack(data[:BYTES])
    if magic != MAGIC:
        raise DescriptorError(
            _(
                "It has no app descriptor at the start of its first segment: it is a boot loader, or was not built "
                "with ESP-IDF. Upload the application's .bin."
            )
        )
    built = f"{_text('build date', date)} {_text('build time', clock)}".strip()
    found = Descriptor(
        project=_text("project", project),
        version=_text("version", version),
        built=built,
        idf=_text("ESP-IDF version", idf),
        secure_version=secure_version,
        elf_sha256=elf_sha256.hex(),
    )
    if not found.project or not found.version:
        raise DescriptorError(_("Its app descriptor names no project or no version: set both in the build."))
    return found


def _text(name: str, field: bytes) -> str:
    text, end, _after = field.partition(b"\0")
    if not end or not text.isascii() or not text.decode("ascii").isprintable():
        told = _("A text in its app descriptor (%(name)s) is none of printable ASCII.")
        raise DescriptorError(told % {"name": name})
    return text.decode("ascii")
