"""Hold what every measurement on a host stands on: meters, phases on a clock, idle power, cost.

Runs, inference and the nodes of a fleet divide their time into phases that never overlap; measured
commands and blocks of code mark phases that may (`harness.measurement.spans`). Meters, idle power
and cost are the same for all. No torch, no method, no task.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from devices.collector import Collector
from devices.energy import Reading, energy
from devices.errors import DeviceError
from devices.stream import StreamSet
from harness.core.errors import MeterMissingError
from harness.measurement.cost import Accountant
from harness.measurement.figures import Costing
from harness.measurement.idle import IdlePower, idle_power_w
from harness.measurement.meters import MeterSet, RunningMeter, started
from harness.measurement.phases import PhaseLog
from harness.records.cost import SegmentCost
from harness.records.phases import Label, Segment

Sleep = Callable[[float], None]


@dataclass
class MeasuringSession:
    """Measure with meters that run.

    Attributes:
        meters: what measures; those of the total are added up.
        log: phases that divide the session's time.
        accountant: costs stretches of time; None without a power model.
        idle: power of the host at rest, as far as it was looked at.
    """

    meters: MeterSet
    log: PhaseLog = field(default_factory=PhaseLog)
    accountant: Accountant | None = None
    idle: IdlePower = field(default_factory=IdlePower)

    @property
    def reason(self) -> str:
        """Return why there is no meter; empty if there is one."""
        return "" if self.meters.totals else self.meters.reason

    @property
    def processes(self) -> list[int]:
        """Return the processes that measure, whose work is not foreign."""
        return self.meters.processes

    def streams(self, until_s: float) -> StreamSet | None:
        """Return the samples of the first meter of the total, up to a moment that is over."""
        if not self.meters.totals:
            return None
        self.meters.wait_past(until_s)
        return self.meters.totals[0].streams()

    def costs(self, segments: Sequence[Segment]) -> list[SegmentCost]:
        """Return the cost of stretches that are over, in order."""
        if not segments or self.accountant is None:
            return []
        streams = self.streams(max(segment.end_s for segment in segments))
        return [self.accountant.figures(segment, streams) for segment in segments]

    @property
    def costing(self) -> Costing:
        """Return how phases are costed that may overlap."""
        model = None if self.accountant is None else self.accountant.power
        return Costing(self.meters.joules, model, self.idle)

    def rest(self, seconds: float, sleep: Sleep = time.sleep) -> Reading | None:
        """Do nothing for a while and return what that took; None without a meter or seconds.

        The first such window also tells what the collectors themselves cost.
        """
        if not self.meters.totals or seconds <= 0:
            return None
        with self.log.phase(Label("idle")):
            sleep(seconds)
        segment = self.log.segments[-1]
        streams = self.streams(segment.end_s)
        self.meters.at_rest(segment.start_s, segment.end_s)
        return energy(streams, segment.start_s, segment.end_s) if streams else None

    def look(self, when: str, seconds: float, sleep: Sleep = time.sleep) -> None:
        """Rest, and take the power of that for the idle power `before` or `after`."""
        reading = self.rest(seconds, sleep)
        if reading is None or len(self.meters.totals) < 2:
            self.idle = self.idle.with_reading(when, reading)
            return
        segment = self.log.segments[-1]
        joules = self.meters.joules([(segment.start_s, segment.end_s)])
        self.idle = self.idle.with_joules(when, joules.energy_j, joules.error_j, segment.time_s)

    def power_since(self, start_s: float) -> float | None:
        """Return the mean power of the total since a moment; None if unknown."""
        end_s = time.monotonic()
        streams = self.streams(end_s)
        return idle_power_w(energy(streams, start_s, end_s)) if streams else None

    def describe(self) -> dict[str, Any] | None:
        """Return what the manifest says of the one meter; None without one."""
        return self.meters.totals[0].describe() if self.meters.totals else None

    def trace(self, start_s: float, end_s: float, zero_s: float) -> list[dict[str, object]]:
        """Return the samples of a window as rows of the trace file."""
        return self.meters.trace(start_s, end_s, zero_s)


@contextmanager
def measuring(
    meter: str | None,
    why_none: str,
    rate_hz: float,
    log: PhaseLog,
    root: Path = Path("/"),
    record: Path | None = None,
) -> Iterator[MeasuringSession]:
    """Measure with one meter, or with none, as long as the context is open.

    Raw samples go to the file `record`, by default a temporary one; what of them belongs to cells
    is written with the results.

    Raises:
        MeterMissingError: if the meter that looked usable cannot be started.
    """
    if meter is None:
        yield MeasuringSession(MeterSet((), why_none), log)
        return
    with TemporaryDirectory(prefix="samples-") as folder:
        path = record or Path(folder) / "samples.bin"
        try:
            running = [RunningMeter(meter, "total", Collector(meter, root, rate_hz, path))]
        except DeviceError as error:
            raise MeterMissingError(error.message, error.remedy) from error
        with started(running, "") as ready:
            yield MeasuringSession(ready(), log)
