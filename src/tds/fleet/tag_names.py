"""What a tag may be called, and when two names are one tag. Pure.

No spaces or commas, so that several fit into one field; and nothing that means more in a link or on a command line.
"""

import re
import unicodedata
from typing import Final

from tds.fleet.limits import MAX_TAG_CHARS

BESIDE_LETTERS: Final = frozenset("-_.")
BETWEEN: Final = re.compile(r"[\s,;]+")


def name_of(text: str) -> str | None:
    """The name in its one form, or None when no tag can be called so."""
    name = unicodedata.normalize("NFC", text.strip())
    fits = len(name) <= MAX_TAG_CHARS and len(folded(name)) <= MAX_TAG_CHARS
    return name if fits and name[:1].isalnum() and all(map(_is_of_a_name, name)) else None


def folded(name: str) -> str:
    """What it is found by: the same for all ways to write one name in small letters and large ones."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def split(text: str) -> tuple[str, ...]:
    """The names of one field, as they were typed."""
    return tuple(dict.fromkeys(filter(None, BETWEEN.split(text))))


def _is_of_a_name(character: str) -> bool:
    # Marks as well: many a language's letters are a sign and a mark.
    return character in BESIDE_LETTERS or unicodedata.category(character)[0] in "LMN"
