"""PostgreSQL's binary form of one-dimensional arrays.

A list as a parameter costs psycopg a call an element; one `struct.pack` for the whole array is several times faster,
and this is the hot path. Format: `array_send` in PostgreSQL's src/backend/utils/adt/arrayfuncs.c.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from struct import pack
from typing import Any, Final

from psycopg.adapt import Dumper
from psycopg.pq import Format

INT8: Final = (20, 1016, "q")
FLOAT8: Final = (701, 1022, "d")
TIMESTAMPTZ: Final = (1184, 1185, "q")  # microseconds since 2000-01-01 UTC


class PackedArray(bytes):
    """An array already in the wire's form; `oid` is the array type's."""

    oid: int


def packed(kind: tuple[int, int, str], values: Sequence[Any]) -> PackedArray:
    element_oid, array_oid, letter = kind
    count = len(values)
    # Header: dimensions, has nulls, element type, length, lower bound. Then every element after its length of 8.
    elements: Iterable[Any] = chain.from_iterable(zip(repeat(8, count), values, strict=True))
    array = PackedArray(pack(f"!iiIii{('i' + letter) * count}", 1, 0, element_oid, count, 1, *elements))
    array.oid = array_oid
    return array


class PackedArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: PackedArray) -> bytes:
        return obj

    def upgrade(self, obj: PackedArray, format: Any) -> Dumper:  # noqa: A002, ARG002  # psycopg's signature
        dumper = PackedArrayDumper(type(obj))
        dumper.oid = obj.oid
        return dumper

    def get_key(self, obj: PackedArray, format: Any) -> Any:  # noqa: A002, ARG002  # psycopg's signature
        return (type(obj), obj.oid)
