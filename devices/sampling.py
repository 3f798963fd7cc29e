"""Read a meter at a fixed period by absolute deadlines; this is what the collector process runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from devices.meters.base import Clock, Meter
from devices.records import Record, RecordKind, RecordWriter

CPU_RECORD_PERIOD_S = 1.0
CLOSEST_READS = 0.2
"""Least share of the period between two reads: sensors that are asked too often fail."""

LONGEST_SLEEP_S = 0.5
"""Sleep in slices, so that a slow meter does not delay the end of an orphaned collector."""


@dataclass
class SamplingLoop:
    """Write a meter's samples to a record file until told to stop.

    Deadlines are start + (n + u)·period on the monotonic clock, so a slow read delays one sample
    and not all that follow; deadlines that have passed are skipped, counted and recorded. u is 0
    for a counter. For sampled power it is drawn anew for each read, so that power that swings in
    step with the period does not look constant: with u uniform over the whole period every moment
    of a swing is as likely to be met as any other.

    Attributes:
        meter: An opened meter.
        writer: Where records go.
        period_s: Mean time between reads.
        keep_going: Asked before each read and between slices of sleep.
        clock: Monotonic clock.
        cpu_clock: Processor seconds of this process.
        sleep: Waits for some seconds.
        offset: Draws u, from 0 to below 1.
        wanted: Says once that somebody waits for a reading: the next one then comes before its
            turn, sampled power still at a random moment, and no other reading moves.
    """

    meter: Meter
    writer: RecordWriter
    period_s: float
    keep_going: Callable[[], bool]
    clock: Clock = time.monotonic
    cpu_clock: Clock = time.process_time
    sleep: Callable[[float], None] = time.sleep
    offset: Callable[[], float] = float
    wanted: Callable[[], bool] = bool

    def run(self) -> None:
        """Sample until `keep_going` says no, then write the END record."""
        start_s = self.clock()
        tick = 0
        next_cpu_s = start_s
        while self.keep_going():
            records = [Record.from_sample(sample) for sample in self.meter.read()]
            now_s = self.clock()
            if now_s >= next_cpu_s:
                records.append(self._cpu_record(now_s))
                next_cpu_s = now_s + CPU_RECORD_PERIOD_S
            due = max(tick + 1, math.ceil((now_s - start_s) / self.period_s))
            late = due - tick - 1
            if late:
                records.append(Record(RecordKind.LATE, 0, now_s, now_s, float(late)))
            self.writer.write(records)
            tick = due
            deadline_s = start_s + (tick + self.offset()) * self.period_s
            if self._sleep_until(deadline_s, now_s):
                tick -= 1  # this reading came before its turn, which is still to come
        now_s = self.clock()
        self.writer.write([self._cpu_record(now_s), Record(RecordKind.END, 0, now_s, now_s, 0.0)])

    def _cpu_record(self, now_s: float) -> Record:
        return Record(RecordKind.CPU_SECONDS, 0, now_s, now_s, self.cpu_clock())

    def _sleep_until(self, deadline_s: float, read_s: float) -> bool:
        """Sleep until the deadline or until a reading is wanted before it; True for the latter.

        Args:
            deadline_s: The next regular reading.
            read_s: The last reading, from which every other keeps its distance.
        """
        closest_s = CLOSEST_READS * self.period_s
        deadline_s = max(deadline_s, read_s + closest_s)
        early = False
        while self.keep_going():
            if not early and self.wanted():
                soon_s = max(self.clock(), read_s + closest_s) + self.offset() * closest_s
                early = soon_s < deadline_s
                deadline_s = min(deadline_s, soon_s)
            left_s = deadline_s - self.clock()
            if left_s <= 0.0:
                return early
            self.sleep(min(left_s, LONGEST_SLEEP_S))
        return early
