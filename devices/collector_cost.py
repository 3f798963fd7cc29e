"""Know what the collector itself costs: processor time, and the time one reading takes."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from devices.records import Record, RecordKind


@dataclass(frozen=True)
class CollectorCost:
    """Hold the collector's cost over a window.

    Attributes:
        window_s: Time between the two looks at its processor time that enclose the window best.
        cpu_share: Its processor seconds per second: the share of one core.
        read_s: Median time of one reading of all rails, waiting for the sensor included.
        reads: Readings in the window.
    """

    window_s: float
    cpu_share: float
    read_s: float
    reads: int


def _numbers() -> array[float]:
    return array("d")


@dataclass
class CostLog:
    """Keep what the records say of the collector's own cost.

    Attributes:
        cpu_s: Processor seconds at its last record; None before the first.
    """

    cpu_s: float | None = None
    _looks_s: array[float] = field(default_factory=_numbers)
    _cpu_s: array[float] = field(default_factory=_numbers)
    _starts_s: array[float] = field(default_factory=_numbers)
    _took_s: array[float] = field(default_factory=_numbers)

    def take(self, record: Record) -> None:
        """Add one record of any kind."""
        if record.kind is RecordKind.CPU_SECONDS:
            self.cpu_s = record.value
            self._looks_s.append(record.before_s)
            self._cpu_s.append(record.value)
        elif record.kind in (RecordKind.SAMPLE, RecordKind.FAILED_READ):
            if record.rail == 0:
                self._starts_s.append(record.before_s)
                self._took_s.append(0.0)
            if self._took_s:
                self._took_s[-1] += record.after_s - record.before_s

    def over(self, start_s: float, end_s: float) -> CollectorCost | None:
        """Return the cost over a window; None before two looks at the processor time enclose any.

        Processor time is recorded about once a second, so the window is widened to the records
        around it, as far as they exist yet.
        """
        first = max(bisect_right(self._looks_s, start_s) - 1, 0)
        last = min(bisect_left(self._looks_s, end_s), len(self._looks_s) - 1)
        reads = self._took_s[
            bisect_left(self._starts_s, start_s) : bisect_right(self._starts_s, end_s)
        ]
        if last <= first or not reads:
            return None
        import statistics  # noqa: PLC0415 - the process that reads the meter does without it

        window_s = self._looks_s[last] - self._looks_s[first]
        spent_s = self._cpu_s[last] - self._cpu_s[first]
        return CollectorCost(window_s, spent_s / window_s, statistics.median(reads), len(reads))
