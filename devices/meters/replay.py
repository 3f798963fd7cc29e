"""Play a recorded trace back as if its sensor were here.

The trace is a `traces/<cell>.csv` file of a run (columns t_s, rail, power_w, energy_j; gzip if the
name ends in .gz). Between two recorded samples the value is interpolated, which is exactly what the
energy arithmetic assumes about them; inside a gap of the recording and after its end there is no
value.
"""

from __future__ import annotations

import csv
import gzip
import math
import statistics
import time
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Kind, Meter, MeterInfo, Rail, RawSample
from devices.meters.replay_log import EXAMPLE, LogColumns, read_log
from devices.meters.replay_log import OPTIONS as LOG_OPTIONS
from devices.plain_numbers import plain_float

MOST_W = 4000.0
"""More than any recorded device draws: the rating of the largest household plug."""

GAP_FACTOR = 5.0
"""An interval longer than this many usual intervals is a gap of the recording."""


@dataclass
class RailTrace:
    """Hold the recording of one rail: joules if it was a counter, watts otherwise."""

    kind: Kind
    times_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def value_at(self, time_s: float) -> float | None:
        """Return the interpolated value; None outside the recording and inside its gaps."""
        if not self.times_s or not self.times_s[0] <= time_s <= self.times_s[-1]:
            return None
        left = bisect_right(self.times_s, time_s) - 1
        if self.times_s[left] == time_s:
            return self.values[left]
        interval_s = self.times_s[left + 1] - self.times_s[left]
        if interval_s > GAP_FACTOR * self.usual_interval_s():
            return None
        share = (time_s - self.times_s[left]) / interval_s
        return self.values[left] + (self.values[left + 1] - self.values[left]) * share

    def usual_interval_s(self) -> float:
        """Return the median interval between samples; infinite for fewer than two."""
        if len(self.times_s) < 2:
            return math.inf
        pairs = zip(self.times_s, self.times_s[1:], strict=False)
        return statistics.median(later - earlier for earlier, later in pairs)


def load_trace(path: Path) -> dict[str, RailTrace]:
    """Read a trace file.

    Raises:
        DeviceError: The file cannot be read or a line of it is not a sample.
    """
    try:
        text = _read(path)
    except (OSError, EOFError, UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise DeviceError(f"trace {path} cannot be read: {error}") from error
    rows = csv.DictReader(text.splitlines(), strict=True)
    rails: dict[str, RailTrace] = {}
    try:
        for number, row in enumerate(rows, start=2):
            _add_row(rails, row, f"{path}:{number}")
    except csv.Error as error:
        raise DeviceError(f"trace {path} is not CSV: {error}") from error
    if not rails:
        raise DeviceError(f"trace {path} holds no sample")
    return rails


def _read(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except zlib.error as error:
            raise OSError(str(error)) from error
    return data.decode("utf-8")


def _add_row(rails: dict[str, RailTrace], row: Mapping[str, str | None], place: str) -> None:
    if None in row:  # where csv puts what is left over
        raise DeviceError(
            f"{place}: more fields than the header has", "write decimals with a point"
        )
    name = row.get("rail") or ""
    energy = row.get("energy_j") or ""
    kind: Kind = "counter" if energy else "sampled"
    time_s = _number(row.get("t_s"), place)
    value = _number(energy or row.get("power_w"), place)
    if not name:
        raise DeviceError(f"{place}: the rail has no name")
    rail = rails.setdefault(name, RailTrace(kind))
    if rail.kind != kind:
        raise DeviceError(f"{place}: rail {name} is a counter on some lines only")
    if rail.times_s and time_s <= rail.times_s[-1]:
        raise DeviceError(f"{place}: time runs backwards")
    rail.times_s.append(time_s)
    rail.values.append(value)


def _number(text: str | None, place: str) -> float:
    try:
        value = plain_float(text or "")
    except ValueError as error:
        raise DeviceError(f"{place}: {text!r} is not a number") from error
    if not math.isfinite(value):
        raise DeviceError(f"{place}: {text!r} is not a finite number")
    return value


class ReplayMeter(Meter):
    """Play a trace in real time from the moment it is opened.

    Options: `path` (the trace; required), `totals` (names of the rails that make up the figure,
    joined by +; without it a trace of one rail is the total and a trace of several has none),
    `scope` (what the recorded figure covered).

    Instead of `path` for a log that another program wrote: `file`, `time` (its column of times),
    `power` (its column of watts) or `volts` and `amps`, `unit` (W, mW, uW or kW; of volts and amps
    that of their product), `time_unit` (s, ms or us), `decimal` (point or comma, where the log does
    not show which sign begins decimals).
    """

    name = "replay"
    option_names = ("path", "totals", "scope", *LOG_OPTIONS)

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, clock, options)
        self._rails: dict[str, RailTrace] = {}
        self._opened_s = 0.0

    def refusal(self) -> Availability | None:
        """Refuse unless the trace can be played."""
        try:
            self.load()
        except DeviceError as error:
            return self.refuse("no-file", error.message, error.remedy)
        return None

    def load(self) -> dict[str, RailTrace]:
        """Read the trace and check that its rails can be one meter.

        Raises:
            DeviceError: No path, an unreadable trace, mixed kinds, or unknown total rails.
        """
        path = self.options.get("path", "")
        logged = sorted(set(self.options) & set(LOG_OPTIONS))
        if logged and path:
            raise DeviceError(f"path is a trace, {logged[0]} is of another program's log", EXAMPLE)
        if logged:
            return self._load_log()
        if not path:
            raise DeviceError("meter replay needs a trace", "give it as replay:path=FILE")
        rails = load_trace(Path(path))
        if len({rail.kind for rail in rails.values()}) > 1:
            raise DeviceError(f"trace {path} mixes counters and sampled power")
        for name in self._totals(rails):
            if name not in rails:
                raise DeviceError(
                    f"trace {path} has no rail {name!r}", f"rails: {', '.join(rails)}"
                )
        return rails

    def _load_log(self) -> dict[str, RailTrace]:
        file = self.options.get("file", "")
        if not file:
            raise DeviceError("meter replay needs the log's name", EXAMPLE)
        columns = LogColumns.from_options(self.options)
        log = read_log(Path(file), columns)
        return {"*".join(columns.values): RailTrace("sampled", log.times_s, log.power_w)}

    def _totals(self, rails: Mapping[str, RailTrace]) -> list[str]:
        named = self.options.get("totals", "")
        if named:
            return named.split("+")
        return list(rails) if len(rails) == 1 else []

    def open(self) -> None:
        """Load the trace; its time 0 is now."""
        self._rails = self.load()
        self._opened_s = self.clock()

    def read(self) -> list[RawSample]:
        """Return every rail's recorded value for the time since `open`."""
        now_s = self.clock()
        elapsed_s = now_s - self._opened_s
        return [
            RawSample(index, now_s, now_s, trace.value_at(elapsed_s))
            for index, trace in enumerate(self._rails.values())
        ]

    def close(self) -> None:
        """Forget the trace."""
        self._rails = {}

    def describe(self) -> MeterInfo:
        """Describe the recorded rails."""
        if not self._rails:
            raise DeviceError("meter replay is not open")
        totals = self._totals(self._rails)
        rails = tuple(
            Rail(name, "total" if name in totals else "witness", max_power_w=MOST_W)
            for name in self._rails
        )
        first = next(iter(self._rails.values()))
        played = self.options.get("path") or self.options.get("file")
        interval_s = min(trace.usual_interval_s() for trace in self._rails.values())
        return MeterInfo(
            meter=self.name,
            kind=first.kind,
            scope=self.options.get("scope", "replay"),
            rails=rails,
            max_rate_hz=1.0 / interval_s if math.isfinite(interval_s) else 1.0,
            notes=(f"replay of {played}: not measured on this host",),
        )
