"""Draw random numbers that are the same on every machine and NumPy version.

NumPy promises no stable stream across versions, so the scene grammar uses splitmix64 (Steele, Lea
and Flood, OOPSLA 2014) in Python integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST_FACTOR = 0xBF58476D1CE4E5B9
_SECOND_FACTOR = 0x94D049BB133111EB
_KEY_FACTOR = 0xD1342543DE82EF95
_START = 0x1234567
_TO_UNIT = 1.0 / (1 << 53)


def _finalise(state: int) -> int:
    mixed = ((state ^ (state >> 30)) * _FIRST_FACTOR) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * _SECOND_FACTOR) & _MASK
    return mixed ^ (mixed >> 31)


class Rng:
    """Give a reproducible stream for a key of integers; different keys give unrelated streams."""

    def __init__(self, *key: int) -> None:
        state = _START
        for part in key:
            mixed = state ^ ((part * _KEY_FACTOR) & _MASK)
            state = _finalise((mixed + _GOLDEN) & _MASK)
        self._state = state

    def bits(self) -> int:
        """Return the next 64 random bits."""
        self._state = (self._state + _GOLDEN) & _MASK
        return _finalise(self._state)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number from [low, high)."""
        return low + (high - low) * ((self.bits() >> 11) * _TO_UNIT)

    def integer(self, low: int, high: int) -> int:
        """Return an integer from [low, high)."""
        return low + self.bits() % (high - low)

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.uniform() < probability

    def sign(self) -> int:
        """Return -1 or +1."""
        return 1 if self.bits() & 1 else -1

    def pick(self, items: Sequence[Choice]) -> Choice:
        """Return one item, all equally likely."""
        return items[self.bits() % len(items)]

    def weighted(self, items: Sequence[Choice], weights: Sequence[float]) -> Choice:
        """Return one item with probability in proportion to its weight."""
        left = self.uniform() * math.fsum(weights)
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]

    def bell(self, mean: float, spread: float) -> float:
        """Return a bell-shaped number within mean ± 1.5 spread (sum of three uniforms)."""
        return mean + spread * (self.uniform() + self.uniform() + self.uniform() - 1.5)

    def shuffled(self, count: int) -> list[int]:
        """Return 0..count-1 in random order."""
        order = list(range(count))
        for last in range(count - 1, 0, -1):
            other = self.integer(0, last + 1)
            order[last], order[other] = order[other], order[last]
        return order

    def direction(self) -> tuple[float, float]:
        """Return (cosine, sine) of a uniform angle, without calling a sine."""
        while True:
            x = self.uniform(-1, 1)
            y = self.uniform(-1, 1)
            square = x * x + y * y
            if 0.05 < square < 1:
                length = math.sqrt(square)
                return x / length, y / length
