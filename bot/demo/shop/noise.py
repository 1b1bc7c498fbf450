"""Randomness without a state: the same seed, name and index give the same number, whoever asks and in whatever order."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Words = NDArray[np.uint64]
T = TypeVar("T")

_GOLDEN = 0x9E3779B97F4A7C15  # the odd constant of SplitMix64 (Steele, Lea, Flood 2014); so are the two below
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_MASK = (1 << 64) - 1


def stream(seed: int, *names: str) -> int:
    """The 64-bit key of one stream of numbers, such as `stream(7, "payments", "rate")`."""
    text = "\x1f".join((str(seed), *names)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def words(key: int, index: Indices) -> Words:
    """A 64-bit word for every index (SplitMix64 as a counter-based generator)."""
    x = index.astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64(key)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_MIX_1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_MIX_2)
    return x ^ (x >> np.uint64(31))


def uniform(key: int, index: Indices) -> Floats:
    """A number in 0..1 (1 excluded) for every index."""
    return (words(key, index) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(key: int, index: Indices) -> Floats:
    """A standard normal number for every index: four 16-bit uniforms summed, so never beyond 3.5 deviations."""
    word = words(key, index)
    total = sum(((word >> np.uint64(16 * i)) & np.uint64(0xFFFF)).astype(np.float64) for i in range(4))
    return np.asarray((total / 65536.0 - 2.0) * np.sqrt(3.0), dtype=np.float64)


def drift(key: int, at_s: Floats, period_s: float) -> Floats:
    """A smooth wandering in -1..1: random heights every `period_s` seconds, eased between."""
    place = at_s / period_s
    knot = np.floor(place).astype(np.int64)
    share = place - knot
    ease = share * share * (3.0 - 2.0 * share)
    low, high = uniform(key, knot), uniform(key, knot + 1)
    return np.asarray(2.0 * (low + (high - low) * ease) - 1.0, dtype=np.float64)


def counts(key: int, index: Indices, expected: Floats) -> Floats:
    """Whole numbers of events with these expectations, scattered about as a Poisson process is."""
    scattered = expected + np.sqrt(expected) * normal(key, index) * (expected > 1.0)
    return np.floor(np.maximum(scattered, 0.0) + uniform(key ^ _MASK, index))


class Draw:
    """Scalar choices from one word, one after the other."""

    __slots__ = ("_state",)

    def __init__(self, word: int) -> None:
        self._state = word

    def word(self) -> int:
        self._state = (self._state + _GOLDEN) & _MASK
        x = self._state
        x = ((x ^ (x >> 30)) * _MIX_1) & _MASK
        x = ((x ^ (x >> 27)) * _MIX_2) & _MASK
        return x ^ (x >> 31)

    def share(self) -> float:
        """A number in 0..1, 1 excluded."""
        return (self.word() >> 11) * 2.0**-53

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.share()

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + self.word() % (high - low + 1)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.word() % len(choices)]

    def hex(self, digits: int) -> str:
        return "".join(f"{self.word():016x}" for _ in range((digits + 15) // 16))[:digits]


def draw(seed: int, *names: str) -> Draw:
    """Choices that belong to these names."""
    return Draw(stream(seed, *names))
