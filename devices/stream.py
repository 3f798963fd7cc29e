"""Keep the samples of one rail on the monotonic clock, with wraps, resets and gaps sorted out.

A stream holds the cumulative energy curve F(t) in joules since its first sample. Counters give F by
difference (linear between samples), sampled power by the trapezoid rule (quadratic between
samples). Because a window's energy is F(end) − F(start), adjacent windows add up by construction.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import NamedTuple

from devices.meters.base import Kind, MeterInfo, Rail, RawSample


class _Step(NamedTuple):
    """Hold what one sample adds to the one before."""

    energy_j: float = 0.0
    spread_j: float = 0.0
    turn_w: float = 0.0
    wrapped: bool = False
    reset: bool = False


class Stream:
    """Accumulate samples of one rail; every query costs O(log n) or O(log n + window).

    Attributes:
        rail: Description of the rail.
        kind: "counter" or "sampled".
        times_s: Times of the good samples, strictly increasing.
        power_w: Sampled power, or the counter's mean power since the sample before (NaN for the
            first sample and after a reset).
        curve_j: Cumulative energy since the first sample.
        spread_j: Cumulative ½·|ΔP|·Δt, the trapezoid's error bound if power is monotone between
            samples; all 0 for counters.
        turns: Samples seen up to each that stand out from both neighbours, up or down; 0 for
            counters.
        turns_w2: Cumulative square of the watts by which those stand out at least. Of power that
            jumps between two levels and is read at random moments, it is on average the variance
            of one reading times the number of readings.
        wraps: Wrap-arounds seen up to each sample.
        resets: Resets seen up to each sample.
        failures: Failed reads seen up to each sample, impossible ones included.
        impossible: Samples seen up to each sample that no such device could draw.
        still_since_s: Time since which the counter has shown the value of this sample.
        failed_since: Failed reads since the last good sample.
        impossible_since: Impossible samples since the last good one.
    """

    def __init__(self, rail: Rail, kind: Kind) -> None:
        self.rail = rail
        self.kind = kind
        self.times_s = array("d")
        self.power_w = array("d")
        self.curve_j = array("d")
        self.spread_j = array("d")
        self.turns_w2 = array("d")
        self.turns = array("q")
        self.wraps = array("q")
        self.resets = array("q")
        self.failures = array("q")
        self.impossible = array("q")
        self.still_since_s = array("d")
        self.failed_since = 0
        self.impossible_since = 0
        self._last_value = 0.0
        self._last_change_w = 0.0

    def __len__(self) -> int:
        return len(self.times_s)

    def append(self, time_s: float, value: float | None) -> None:
        """Add one reading.

        Args:
            time_s: Monotonic time of the reading.
            value: Joules (counter, before unwrapping) or watts (sampled); None for a failed read.

        Raises:
            ValueError: Time does not move forward.
        """
        if value is None or value - value != 0.0:
            self.failed_since += 1
            return
        if self.kind == "sampled" and not self.rail.can_draw(value):
            self.failed_since += 1
            self.impossible_since += 1
            return
        if not self.times_s:
            self._append_row(time_s, value, _Step(), time_s)
        elif time_s <= self.times_s[-1]:
            raise ValueError(f"time runs backwards: {time_s} after {self.times_s[-1]}")
        elif self.kind == "counter":
            self._append_count(time_s, value)
        else:
            self._append_power(time_s, value)
        self._last_value = value

    def _append_power(self, time_s: float, power_w: float) -> None:
        interval_s = time_s - self.times_s[-1]
        change_w = power_w - self._last_value
        energy_j = 0.5 * (power_w + self._last_value) * interval_s
        spread_j = 0.5 * abs(change_w) * interval_s
        turned = change_w * self._last_change_w < 0.0
        turn_w = min(abs(change_w), abs(self._last_change_w)) if turned else 0.0
        self._last_change_w = change_w
        self._append_row(time_s, power_w, _Step(energy_j, spread_j, turn_w), time_s)

    def _append_count(self, time_s: float, value_j: float) -> None:
        interval_s = time_s - self.times_s[-1]
        step_j = value_j - self._last_value
        wrapped = step_j < 0.0 and self.rail.wrap_range_j is not None
        if wrapped:
            step_j += self.rail.wrap_range_j or 0.0
        # A step that no hardware could have drawn is a counter that started again, not energy.
        limit_j = self.rail.max_power_w * interval_s + (self.rail.resolution_j or 0.0)
        reset = step_j < 0.0 or step_j > limit_j
        if reset:
            self._append_row(time_s, float("nan"), _Step(reset=True), time_s)
            return
        still_since_s = self.still_since_s[-1] if step_j == 0.0 else time_s
        step = _Step(step_j, wrapped=wrapped)
        self._append_row(time_s, step_j / interval_s, step, still_since_s)

    def _append_row(self, time_s: float, power_w: float, step: _Step, still_since_s: float) -> None:
        first = not self.times_s
        if first and self.kind == "counter":
            power_w = float("nan")
        self.times_s.append(time_s)
        self.power_w.append(power_w)
        for column, more in (
            (self.curve_j, step.energy_j),
            (self.spread_j, step.spread_j),
            (self.turns_w2, step.turn_w**2),
        ):
            column.append(0.0 if first else column[-1] + more)
        for counts, seen in (
            (self.wraps, int(step.wrapped)),
            (self.resets, int(step.reset)),
            (self.turns, int(step.turn_w > 0.0)),
            (self.failures, self.failed_since),
            (self.impossible, self.impossible_since),
        ):
            counts.append(seen if first else counts[-1] + seen)
        self.failed_since = self.impossible_since = 0
        self.still_since_s.append(still_since_s)

    def segment(self, time_s: float) -> int:
        """Return i so that `time_s` lies in [times_s[i], times_s[i + 1]]; needs two samples."""
        index = bisect_right(self.times_s, time_s) - 1
        return min(max(index, 0), len(self.times_s) - 2)

    def energy_at_j(self, time_s: float) -> float:
        """Return F(time_s) for a time inside the stream."""
        left = self.segment(time_s)
        start_s = self.times_s[left]
        interval_s = self.times_s[left + 1] - start_s
        passed_s = time_s - start_s
        if self.kind == "counter":
            step_j = self.curve_j[left + 1] - self.curve_j[left]
            return self.curve_j[left] + step_j * passed_s / interval_s
        left_w = self.power_w[left]
        slope_w_per_s = (self.power_w[left + 1] - left_w) / interval_s
        return self.curve_j[left] + left_w * passed_s + 0.5 * slope_w_per_s * passed_s * passed_s


class StreamSet:
    """Hold the streams of one meter.

    Attributes:
        info: Description of the meter.
        streams: One stream per rail, in the order of `info.rails`.
        period_s: Time between two reads that was asked for.
        ended: Why no further samples will come; empty while the recording goes on.
    """

    def __init__(self, info: MeterInfo, period_s: float) -> None:
        self.info = info
        self.period_s = period_s
        self.streams = tuple(Stream(rail, info.kind) for rail in info.rails)
        self.ended = ""

    @property
    def gap_limit_s(self) -> float:
        """Return the longest interval between samples that is not called a gap: five periods."""
        return 5.0 * self.period_s

    def append(self, sample: RawSample) -> None:
        """Add a raw sample, placed at the middle of its read.

        Raises:
            ValueError: Time does not move forward.
            IndexError: The rail does not exist.
        """
        time_s = 0.5 * (sample.before_s + sample.after_s)
        self.streams[sample.rail].append(time_s, sample.value)

    def stream(self, rail_name: str) -> Stream:
        """Return the stream of a rail by name; KeyError if there is none."""
        for stream in self.streams:
            if stream.rail.name == rail_name:
                return stream
        raise KeyError(rail_name)
