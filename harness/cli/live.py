"""Say in a progress line what is drawn now, what was taken so far, and how long all still takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence


def power_words(power_w: float | None, energy_j: float | None) -> str:
    """Return watts now and joules so far, as `8.4 W 120 J`; empty where no meter works."""
    now = "" if power_w is None else f"{power_w:.3g} W"
    return " ".join(filter(None, (now, "" if energy_j is None else joules(energy_j))))


def joules(energy_j: float) -> str:
    """Return joules in at most seven letters, up to a gigajoule."""
    for unit, size in (("MJ", 1e6), ("kJ", 1e3)):
        if energy_j >= size:
            return f"{energy_j / size:.3g} {unit}"
    return f"{energy_j:.3g} J"


def left_words(seconds: float | None) -> str:
    """Return how long everything still takes; empty while nothing tells."""
    if seconds is None:
        return ""
    if seconds < 90.0:
        return f"all {seconds:.0f} s left"
    if seconds < 5400.0:
        return f"all {seconds / 60.0:.0f} min left"
    return f"all {seconds / 3600.0:.1f} h left"


class TimeLeft:
    """Expect the seconds that a whole matrix still takes, from what its steps took so far.

    Everything between the steps counts, since it comes again: evaluations, exports, cooling down.
    """

    def __init__(self, steps: Sequence[float], clock: Callable[[], float] = time.monotonic) -> None:
        """Take the steps of every cell, in the order in which they run."""
        self._steps = list(steps)
        self._clock = clock
        self._begun_s: float | None = None
        self._first = 0.0
        self._cell = 0

    def cell(self, number: int) -> None:
        """Note that a cell begins; the first has number 1. Those before it are done."""
        self._cell = number - 1
        if self._begun_s is None:
            self._begun_s = self._clock()
            self._first = sum(self._steps[: self._cell])

    def seconds(self, done: float) -> float | None:
        """Return what is left once so many steps of this cell are done; None before the first."""
        before = sum(self._steps[: self._cell])
        worked = before + done - self._first
        if self._begun_s is None or worked <= 0.0:
            return None
        each_s = (self._clock() - self._begun_s) / worked
        return each_s * max(0.0, sum(self._steps) - before - done)
