"""Remember which seconds of a worker's clock are booked, so that none is booked twice."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Stretches:
    """Hold stretches of time that are disjoint and in order; those that touch become one."""

    def __init__(self) -> None:
        self._starts_s: list[float] = []
        self._ends_s: list[float] = []

    def add(self, start_s: float, end_s: float) -> None:
        """Take in a stretch."""
        first, last = bisect_left(self._ends_s, start_s), bisect_right(self._starts_s, end_s)
        if first < last:
            start_s = min(start_s, self._starts_s[first])
            end_s = max(end_s, self._ends_s[last - 1])
        self._starts_s[first:last] = [start_s]
        self._ends_s[first:last] = [end_s]

    def take_over(self, other: Stretches) -> None:
        """Take in all that another one holds."""
        for start_s, end_s in zip(other._starts_s, other._ends_s, strict=True):
            self.add(start_s, end_s)

    def shared_s(self, start_s: float, end_s: float) -> float:
        """Return the seconds of a stretch that are taken in already."""
        first, last = bisect_left(self._ends_s, start_s), bisect_right(self._starts_s, end_s)
        return sum(
            min(end_s, self._ends_s[at]) - max(start_s, self._starts_s[at])
            for at in range(first, last)
        )
