"""Own the meter of a run: start its collector, take the idle baseline, hand out its streams."""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from devices.collector import Collector
from devices.energy import Reading, energy
from devices.errors import DeviceError
from devices.stream import Stream, StreamSet
from harness.core.errors import MeterMissingError
from harness.measurement.phases import PhaseLog
from harness.records.phases import Label


@dataclass(frozen=True)
class LivePower:
    """Hold what is drawn now, None if the last reading is too old, and joules since the start."""

    power_w: float | None
    energy_j: float


def live_power(streams: StreamSet, now_s: float) -> LivePower | None:
    """Return what a meter's total shows now; None if it shows nothing at all."""
    totals = [stream for stream in streams.streams if stream.rail.role == "total" and len(stream)]
    if not totals:
        return None
    fresh = all(now_s - stream.times_s[-1] <= streams.gap_limit_s for stream in totals)
    power_w = math.fsum(stream.power_w[-1] for stream in totals)
    known = fresh and not math.isnan(power_w)
    return LivePower(power_w if known else None, math.fsum(stream.curve_j[-1] for stream in totals))


class Instruments:
    """Measure with one meter, or say why there is none."""

    def __init__(self, collector: Collector | None, reason: str, log: PhaseLog) -> None:
        self._collector = collector
        self._log = log
        self._cost: dict[str, Any] | None = None
        self.reason = reason

    def streams(self, until_s: float) -> StreamSet | None:
        """Return all samples up to a moment that is over; None without a meter."""
        if self._collector is None:
            return None
        self._collector.wait_past(until_s)
        return self._collector.streams()

    def idle(self, seconds: float, sleep: Callable[[float], None] = time.sleep) -> Reading | None:
        """Do nothing for a while and return what that took; None without a meter or seconds.

        The first such window also tells what the collector itself costs.
        """
        if self._collector is None or seconds <= 0:
            return None
        with self._log.phase(Label("idle")):
            sleep(seconds)
        segment = self._log.segments[-1]
        streams = self.streams(segment.end_s)
        self._cost = self._cost or self._collector_cost(segment.start_s, segment.end_s, "idle")
        return energy(streams, segment.start_s, segment.end_s) if streams else None

    def now(self) -> LivePower | None:
        """Return what the meter shows now; None without one."""
        if self._collector is None:
            return None
        return live_power(self._collector.streams(), time.monotonic())

    def power_since(self, start_s: float) -> float | None:
        """Return the mean power of all rails of the total since a moment; None if unknown."""
        end_s = time.monotonic()
        streams = self.streams(end_s)
        return idle_power_w(energy(streams, start_s, end_s)) if streams else None

    def describe(self) -> dict[str, Any] | None:
        """Return what the manifest says of the meter; None without one."""
        if self._collector is None:
            return None
        streams = self._collector.streams()
        info = streams.info.to_dict()
        cost = self._cost or self._collector_cost(0.0, time.monotonic(), "run")
        return {
            **info,
            "name": self._collector.meter,
            "rate_hz": 1.0 / streams.period_s,
            "late": self._collector.late,
            "collector_cpu_s": self._collector.cost.cpu_s,
            "collector_cost": cost,
        }

    def _collector_cost(self, start_s: float, end_s: float, during: str) -> dict[str, Any] | None:
        """Return the collector's share of one core and the time of one reading; None if unknown."""
        cost = self._collector.cost.over(start_s, end_s) if self._collector else None
        return {"during": during, **asdict(cost)} if cost else None

    def trace(self, start_s: float, end_s: float, zero_s: float) -> list[dict[str, object]]:
        """Return the samples of a window as rows of the trace file; none without a meter."""
        if self._collector is None:
            return []
        return trace_rows(self._collector.streams(), start_s, end_s, zero_s)

    @property
    def processes(self) -> list[int]:
        """Return the processes that measure, whose work is not foreign."""
        number = self._collector.process_id if self._collector else None
        return [] if number is None else [number]


def trace_rows(
    streams: StreamSet, start_s: float, end_s: float, zero_s: float
) -> list[dict[str, object]]:
    """Return the samples of a window as rows of the trace file."""
    rows = [row for s in streams.streams for row in _trace_rows(s, start_s, end_s, zero_s)]
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
    meter: str | None,
    why_none: str,
    rate_hz: float,
    log: PhaseLog,
    root: Path = Path("/"),
    record: Path | None = None,
) -> Iterator[Instruments]:
    """Run a meter as long as the context is open.

    Raw samples go to the file `record`, by default a temporary one; what of them belongs to cells
    is written with the results.

    Raises:
        MeterMissingError: if the meter that looked usable cannot be started.
    """
    if meter is None:
        yield Instruments(None, why_none, log)
        return
    with TemporaryDirectory(prefix="samples-") as folder:
        try:
            path = record or Path(folder) / "samples.bin"
            collector = Collector(meter, root, rate_hz, path)
            collector.start()
        except DeviceError as error:
            raise MeterMissingError(error.message, error.remedy) from error
        try:
            yield Instruments(collector, "", log)
        finally:
            collector.stop()
