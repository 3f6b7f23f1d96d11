"""Reads the QR code in a label's drawing (ISO/IEC 18004), by no code of who drew it. Damage is seen, not mended."""

import re
from collections.abc import Callable
from functools import reduce
from typing import Final

Modules = list[list[bool]]

LEVEL_M: Final = 0b00
FORMAT_MASK: Final = 0x5412
BYTES: Final = 0b0100
# Of level M: codewords of correction a block, and (how many blocks, codewords of data each); table 9.
BLOCKS: Final = {
    1: (10, [(1, 16)]),
    2: (16, [(1, 28)]),
    3: (26, [(1, 44)]),
    4: (18, [(2, 32)]),
    5: (24, [(2, 43)]),
    6: (16, [(4, 27)]),
    7: (18, [(4, 31)]),
    8: (22, [(2, 38), (2, 39)]),
    9: (22, [(3, 36), (2, 37)]),
    10: (26, [(4, 43), (1, 44)]),
}
ALIGNED: Final = {
    1: [],
    2: [6, 18],
    3: [6, 22],
    4: [6, 26],
    5: [6, 30],
    6: [6, 34],
    7: [6, 22, 38],
    8: [6, 24, 42],
    9: [6, 26, 46],
    10: [6, 28, 50],
}
MASKS: Final[tuple[Callable[[int, int], bool], ...]] = (
    lambda y, x: (y + x) % 2 == 0,
    lambda y, _x: y % 2 == 0,
    lambda _y, x: x % 3 == 0,
    lambda y, x: (y + x) % 3 == 0,
    lambda y, x: (y // 2 + x // 3) % 2 == 0,
    lambda y, x: y * x % 2 + y * x % 3 == 0,
    lambda y, x: (y * x % 2 + y * x % 3) % 2 == 0,
    lambda y, x: ((y + x) % 2 + y * x % 3) % 2 == 0,
)


def read(svg: str) -> str:
    """What the code in a drawing says."""
    modules = drawn(svg)
    size = len(modules)
    version = (size - 17) // 4
    mask = MASKS[_mask_number(modules)]
    own = _functions(version, size)
    bits = [modules[y][x] != mask(y, x) for y, x in _path(size) if (y, x) not in own]
    words = [int("".join("1" if bit else "0" for bit in bits[at : at + 8]), 2) for at in range(0, len(bits) - 7, 8)]
    data = "".join(f"{word:08b}" for word in _corrected(words, version))
    assert int(data[:4], 2) == BYTES
    count_bits = 8 if version < 10 else 16
    count = int(data[4 : 4 + count_bits], 2)
    start = 4 + count_bits
    return bytes(int(data[start + 8 * n : start + 8 * n + 8], 2) for n in range(count)).decode("ascii")


def drawn(svg: str) -> Modules:
    """The modules without the light ones around; these must be there."""
    runs = [tuple(map(int, run)) for run in re.findall(r"M(\d+) (\d+)\.5h(\d+)", svg)]
    left, top = min(x for x, _y, _l in runs), min(y for _x, y, _l in runs)
    size = 1 + max(y for _x, y, _l in runs) - top  # the finder at the bottom left is dark
    assert (left, top) == (4, 4)
    assert (size - 17) % 4 == 0
    modules = [[False] * size for _ in range(size)]
    for x, y, length in runs:
        modules[y - top][x - left : x - left + length] = [True] * length
    assert all(len(row) == size for row in modules)
    return modules


def _mask_number(modules: Modules) -> int:
    places = [(8, x) for x in (0, 1, 2, 3, 4, 5, 7, 8)] + [(y, 8) for y in (7, 5, 4, 3, 2, 1, 0)]
    code = int("".join("1" if modules[y][x] else "0" for y, x in places), 2) ^ FORMAT_MASK
    rest = code
    for shift in range(4, -1, -1):  # BCH (15, 5): without an error nothing is left
        rest ^= (0x537 << shift) if rest >> (shift + 10) & 1 else 0
    assert rest == 0
    assert code >> 13 == LEVEL_M
    return code >> 10 & 0b111


def _functions(version: int, size: int) -> set[tuple[int, int]]:
    """The modules that carry no data."""
    square = [(y, x) for y in range(9) for x in range(9)]  # finder, its border, the format beside it
    found = set(square) | {(y, x) for y, x in square for y, x in ((y, size - 8 + x), (size - 8 + y, x))}
    found = {(y, x) for y, x in found if y < size and x < size}
    found |= {(6, n) for n in range(size)} | {(n, 6) for n in range(size)}
    centres = ALIGNED[version]
    for y in centres:
        for x in centres:
            if (y, x) not in {(6, 6), (6, centres[-1]), (centres[-1], 6)}:
                found |= {(y + dy, x + dx) for dy in range(-2, 3) for dx in range(-2, 3)}
    if version >= 7:
        found |= {(y, size - 11 + x) for y in range(6) for x in range(3)}
        found |= {(size - 11 + y, x) for y in range(3) for x in range(6)}
    return found


def _path(size: int) -> list[tuple[int, int]]:
    """Up and down in columns of two from the right, past the upright timing pattern."""
    rights = [x for x in range(size - 1, 0, -2) if x > 6] + [5, 3, 1]
    found = []
    for number, right in enumerate(rights):
        rows = range(size) if number % 2 else range(size - 1, -1, -1)
        found += [(y, x) for y in rows for x in (right, right - 1)]
    return found


def _corrected(words: list[int], version: int) -> list[int]:
    """The codewords of data in order; each block proves itself by its codewords of correction."""
    correction, kinds = BLOCKS[version]
    sizes = [data for count, data in kinds for _ in range(count)]
    blocks: list[list[int]] = [[] for _ in sizes]
    stream = iter(words)
    for at in range(max(sizes)):
        for block, size in zip(blocks, sizes, strict=True):
            if at < size:
                block.append(next(stream))
    data = [word for block in blocks for word in block]
    for _ in range(correction):
        for block in blocks:
            block.append(next(stream))
    for block in blocks:
        assert [_value_at(block, power) for power in range(correction)] == [0] * correction
    return data


def _value_at(block: list[int], power: int) -> int:
    """The block as a polynomial over GF(256), at α to that power: 0 where nothing is damaged."""
    point = reduce(lambda value, _: _times(value, 2), range(power), 1)
    return reduce(lambda value, word: _times(value, point) ^ word, block, 0)


def _times(left: int, right: int) -> int:
    product = 0
    while right:
        product ^= left if right & 1 else 0
        left = left << 1 ^ (0x11D if left & 0x80 else 0)
        right >>= 1
    return product
