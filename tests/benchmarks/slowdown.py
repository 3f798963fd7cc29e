"""Estimate how much something slows a step, from many short blocks with it and without.

Blocks come in pairs whose order is turned from pair to pair (on, off, off, on, …), so that drift
cancels. A pair gives one logarithm of a ratio; the estimate is the Hodges–Lehmann one, the median
of the means of all pairs of values, and its interval is that of Wilcoxon's signed ranks. Neither
assumes a distribution beyond symmetry, and a few pairs that another process has spoilt move them
little, whereas the mean of 57 long fours was lost in such pairs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

Clock = Callable[[], float]


@dataclass(frozen=True)
class Block:
    """Hold what some steps took: wall time, and processor time of all threads of this process."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Pair:
    """Hold a block with what is judged and one without it."""

    on: Block
    off: Block


@dataclass(frozen=True)
class Estimate:
    """Hold a slowdown in percent and the interval that holds the true one."""

    percent: float
    low: float
    high: float


@dataclass(frozen=True)
class Trial:
    """Say how blocks are made.

    Attributes:
        step: Does one step.
        switch: Turns on (True) or off what is judged.
        steps: Steps of one block.
        clock: Wall time.
        cpu_clock: Processor time of this process, all threads together.
    """

    step: Callable[[], None]
    switch: Callable[[bool], None]
    steps: int
    clock: Clock = time.perf_counter
    cpu_clock: Clock = time.process_time

    def pairs(self, seconds: float) -> Iterator[Pair]:
        """Measure pairs for about some seconds, at least two; it is on at the end."""
        start_s = self.clock()
        turn = 0
        while turn < 2 or self.clock() - start_s < seconds:
            first = turn % 2 == 0
            blocks = {on: self._block(on) for on in (first, not first)}
            yield Pair(blocks[True], blocks[False])
            turn += 1
        self.switch(True)

    def _block(self, on: bool) -> Block:
        self.switch(on)
        wall_s, cpu_s = self.clock(), self.cpu_clock()
        for _ in range(self.steps):
            self.step()
        return Block(self.clock() - wall_s, self.cpu_clock() - cpu_s)


def slowdown(on: Sequence[float], off: Sequence[float]) -> Estimate:
    """Return how much longer the paired values `on` are than `off`, 95 % certain."""
    logarithms = [math.log(a / b) for a, b in zip(on, off, strict=True)]
    return Estimate(*(100.0 * math.expm1(value) for value in hodges_lehmann(logarithms)))


def hodges_lehmann(values: Sequence[float], tail: float = 0.025) -> tuple[float, float, float]:
    """Return the centre of symmetric values, and the ends of its interval.

    Source: Hollander, Wolfe, Chicken, Nonparametric Statistical Methods, section 3.2 and 3.3, with
    the normal approximation of the signed-rank statistic; under about ten values the interval is
    their whole range.
    """
    count = len(values)
    means = sorted(
        0.5 * (first + second) for index, first in enumerate(values) for second in values[index:]
    )
    deviation = math.sqrt(count * (count + 1) * (2 * count + 1) / 24.0)
    cut = math.floor(count * (count + 1) / 4.0 + NormalDist().inv_cdf(tail) * deviation)
    if count < 10 or cut < 1:
        cut = 1
    middle = len(means) // 2
    centre = means[middle] if len(means) % 2 else 0.5 * (means[middle - 1] + means[middle])
    return centre, means[cut - 1], means[len(means) - cut]
