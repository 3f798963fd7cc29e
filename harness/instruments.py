"""Own the meter of a run: start its collector, take the idle baseline, hand out its streams."""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from devices.collector import Collector
from devices.energy import Reading, energy
from devices.errors import DeviceError
from devices.stream import Stream, StreamSet
from harness.errors import MeterMissingError
from harness.phases import Label, PhaseLog
from harness.target import Target


class Instruments:
    """Measure with the target's meter, or say that there is none."""

    def __init__(self, collector: Collector | None, reason: str, log: PhaseLog) -> None:
        self._collector = collector
        self._log = log
        self.reason = reason

    def streams(self, until_s: float) -> StreamSet | None:
        """Return all samples up to a moment that is over; None without a meter."""
        if self._collector is None:
            return None
        self._collector.wait_past(until_s)
        return self._collector.streams()

    def idle(self, seconds: float, sleep: Callable[[float], None] = time.sleep) -> Reading | None:
        """Do nothing for a while and return what that took; None without a meter or seconds."""
        if self._collector is None or seconds <= 0:
            return None
        with self._log.phase(Label("idle")):
            sleep(seconds)
        segment = self._log.segments[-1]
        streams = self.streams(segment.end_s)
        return energy(streams, segment.start_s, segment.end_s) if streams else None

    def describe(self) -> dict[str, Any] | None:
        """Return what the manifest says of the meter; None without one."""
        if self._collector is None:
            return None
        streams = self._collector.streams()
        info = streams.info.to_dict()
        return {
            **info,
            "name": self._collector.meter,
            "rate_hz": 1.0 / streams.period_s,
            "late": self._collector.late,
            "collector_cpu_s": self._collector.cpu_s,
        }

    def trace(self, start_s: float, end_s: float, zero_s: float) -> list[dict[str, object]]:
        """Return the samples of a window as rows of the trace file; none without a meter."""
        if self._collector is None:
            return []
        rows = [
            row
            for stream in self._collector.streams().streams
            for row in _trace_rows(stream, start_s, end_s, zero_s)
        ]
        return sorted(rows, key=itemgetter("t_s", "rail"))


def _trace_rows(
    stream: Stream, start_s: float, end_s: float, zero_s: float
) -> Iterator[dict[str, object]]:
    first = bisect_left(stream.times_s, start_s)
    for index in range(first, bisect_right(stream.times_s, end_s)):
        power_w = stream.power_w[index]
        if math.isnan(power_w):
            continue  # a counter has no power at its first sample and after a reset
        row: dict[str, object] = {
            "t_s": stream.times_s[index] - zero_s,
            "rail": stream.rail.name,
            "power_w": power_w,
        }
        if stream.kind == "counter":
            row["energy_j"] = stream.curve_j[index] - stream.curve_j[first]
        yield row


def idle_power_w(reading: Reading | None) -> float | None:
    """Return the mean power of an idle window; None if it was not measured."""
    if reading is None or reading.energy_j is None or reading.end_s <= reading.start_s:
        return None
    return reading.energy_j / (reading.end_s - reading.start_s)


@contextmanager
def instruments(
    target: Target, rate_hz: float, log: PhaseLog, root: Path = Path("/")
) -> Iterator[Instruments]:
    """Run the target's meter as long as the context is open.

    Raw samples go to a temporary file; what of them belongs to cells is written with the results.

    Raises:
        MeterMissingError: if the meter that looked usable cannot be started.
    """
    if target.meter is None:
        yield Instruments(None, target.meter_reason, log)
        return
    with TemporaryDirectory(prefix="samples-") as folder:
        try:
            collector = Collector(target.meter, root, rate_hz, Path(folder) / "samples.bin")
            collector.start()
        except DeviceError as error:
            raise MeterMissingError(error.message, error.remedy) from error
        try:
            yield Instruments(collector, "", log)
        finally:
            collector.stop()
