"""Repeatable chance: the same key and number always give the same noise, in any order and in any process."""

import hashlib
from typing import Final, NewType

NoiseKey = NewType("NoiseKey", int)

_MASK_64: Final = (1 << 64) - 1
_UNIT: Final = 1.0 / (1 << 64)


def noise_key(*parts: object) -> NoiseKey:
    """A key for what the parts name. Slow (a hash), so callers keep it."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return NoiseKey(int.from_bytes(digest, "big"))


def bits(key: NoiseKey, number: int) -> int:
    """64 well mixed bits (the finaliser of splitmix64): a cryptographic hash a reading would cost ten times as much."""
    mixed = (key + number * 0x9E3779B97F4A7C15) & _MASK_64
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return mixed ^ (mixed >> 31)


def unit(key: NoiseKey, number: int) -> float:
    """From 0 up to, not including, 1 (as far as a float can tell)."""
    return bits(key, number) * _UNIT


def centred(key: NoiseKey, number: int) -> float:
    """From -1 to 1, the small values more likely: the sum of two even ones."""
    both = bits(key, number)
    return ((both >> 32) + (both & 0xFFFFFFFF)) / (1 << 32) - 1.0
