"""Run several meters at once: add up those that cover different parts, record others beside."""

from __future__ import annotations

import contextlib
import math
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from devices.collector import Collector
from devices.energy import FLAGS, Reading, energy, rail_energy
from devices.errors import DeviceError
from devices.meters.registry import split_sum
from devices.stream import StreamSet
from harness.core.errors import MeterMissingError, UsageError
from harness.measurement.live import LivePower, live_power
from harness.measurement.peaks import peak_w
from harness.measurement.scopes import Covered, component, overlap, rail_component, rail_role
from harness.measurement.spans import Window
from harness.measurement.traces import trace_rows

MOST_REASONS = 3


@dataclass(frozen=True)
class Joules:
    """Hold measured joules of some windows; None with a reason where there is no figure."""

    energy_j: float | None
    error_j: float | None
    reason: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComponentJoules:
    """Hold the joules of one rail of one meter: a row of components.csv."""

    component: str
    meter: str
    rail: str
    role: str
    joules: Joules


@dataclass
class RunningMeter:
    """Hold one meter that runs; `role` is total or witness."""

    text: str
    role: str
    collector: Collector
    cost: dict[str, Any] | None = None
    """What its process costs, of the first window in which the host was at rest."""

    def describe(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        streams = self.streams()
        return {
            **streams.info.to_dict(),
            "name": self.text,
            "rate_hz": 1.0 / streams.period_s,
            "late": self.collector.late,
            "collector_cpu_s": self.collector.cost.cpu_s,
            "collector_cost": self.cost or self._cost(0.0, time.monotonic(), "run"),
        }

    def at_rest(self, start_s: float, end_s: float) -> None:
        """Take what the process cost in a window; the first one stays."""
        self.cost = self.cost or self._cost(start_s, end_s, "idle")

    def _cost(self, start_s: float, end_s: float, during: str) -> dict[str, Any] | None:
        """Return its share of one core and the time of one reading; None if unknown."""
        cost = self.collector.cost.over(start_s, end_s)
        return {"during": during, **asdict(cost)} if cost else None

    def streams(self) -> StreamSet:
        """Return all samples so far."""
        return self.collector.streams()

    @property
    def name(self) -> str:
        """Return the meter's name without its options."""
        return "+".join(part.partition(":")[0] for part in split_sum(self.text))


class MeterSet:
    """Measure with meters whose joules are added up, and with witnesses beside them."""

    def __init__(self, running: Sequence[RunningMeter], reason: str = "") -> None:
        self.running = tuple(running)
        self.reason = reason
        names = [meter.name for meter in self.running]
        before = [names[:place].count(name) for place, name in enumerate(names)]
        self._names = [f"{n}#{k + 1}" if k else n for n, k in zip(names, before, strict=True)]
        """What files call them: the second of one kind is plug#2."""

    @property
    def totals(self) -> list[RunningMeter]:
        """Return the meters whose joules are added up."""
        return [meter for meter in self.running if meter.role == "total"]

    @property
    def name(self) -> str:
        """Return the names of the meters that are added up, joined by +; empty without one."""
        return "+".join(meter.name for meter in self.totals)

    @property
    def scope(self) -> str:
        """Return what they cover together."""
        return "+".join(meter.streams().info.scope for meter in self.totals)

    @property
    def kind(self) -> str:
        """Return counter or sampled, or both joined by + if they differ."""
        return "+".join(dict.fromkeys(meter.streams().info.kind for meter in self.totals))

    def wait_past(self, time_s: float) -> None:
        """Wait until every meter was read at or after a moment, if it still answers."""
        for meter in self.running:
            # a meter that is read every few seconds is waited for as long as that takes
            patience_s = max(2.0, 2.0 * meter.streams().period_s)
            meter.collector.wait_past(time_s, patience_s)

    def joules(self, windows: Sequence[Window]) -> Joules:
        """Return the sum of the meters over some windows; one without a figure leaves none."""
        if not self.totals:
            return Joules(None, None, self.reason or "there is no meter")
        return added(measured(meter.streams(), windows) for meter in self.totals)

    def components(self, windows: Sequence[Window]) -> list[ComponentJoules]:
        """Return the joules of every rail of every meter, witnesses too."""
        return [
            found
            for meter, name in zip(self.running, self._names, strict=True)
            for found in rail_joules(meter.streams(), windows, name, meter.role)
        ]

    def peak_w(self, windows: Sequence[Window]) -> float | None:
        """Return the highest sum of a meter's rails within the windows; None for several meters.

        Readings of several meters do not fall together, so their highest sum is not known.
        """
        if len(self.totals) != 1:
            return None
        return peak_w(self.totals[0].streams(), windows)

    def now(self) -> LivePower | None:
        """Return the sum of what is drawn now and was taken so far; None if a meter shows none."""
        now_s = time.monotonic()
        found = [live_power(meter.streams(), now_s) for meter in self.totals]
        known = [live for live in found if live is not None]
        if not known or len(known) < len(found):
            return None
        powers = [live.power_w for live in known if live.power_w is not None]
        return LivePower(
            math.fsum(powers) if len(powers) == len(known) else None,
            math.fsum(live.energy_j for live in known),
        )

    def describe(self) -> list[dict[str, Any]]:
        """Return what a manifest says of the meters."""
        return [{**meter.describe(), "role": meter.role} for meter in self.running]

    def trace(self, start_s: float, end_s: float, zero_s: float) -> list[dict[str, object]]:
        """Return the samples of a window as rows of the trace file.

        Rails bear the names of their meters if there are several.
        """
        rows: list[dict[str, object]] = []
        for meter, name in zip(self.running, self._names, strict=True):
            prefix = f"{name}/" if len(self.running) > 1 else ""
            own = trace_rows(meter.streams(), start_s, end_s, zero_s)
            rows += [{**row, "rail": f"{prefix}{row['rail']}"} for row in own]
        return rows

    def at_rest(self, start_s: float, end_s: float) -> None:
        """Take what the meters' processes cost in a window in which the host was at rest."""
        for meter in self.running:
            meter.at_rest(start_s, end_s)

    @property
    def processes(self) -> list[int]:
        """Return the processes that measure."""
        numbers = (meter.collector.process_id for meter in self.running)
        return [number for number in numbers if number is not None]


def measured(streams: StreamSet, windows: Sequence[Window]) -> Joules:
    """Return one meter's joules over some windows."""
    return _over((energy(streams, *window) for window in windows), streams.period_s)


def rail_joules(
    streams: StreamSet, windows: Sequence[Window], meter: str, role: str = "total"
) -> list[ComponentJoules]:
    """Return the joules of every rail of one meter over some windows.

    A rail beside the total is a part of it, unless it contains it (`psys` beside `package`). Parts
    that add up to more than their total, beyond what the bounds allow, say so.
    """
    found = []
    for stream in streams.streams:
        name = stream.rail.name
        readings = (rail_energy(streams, name, *window) for window in windows)
        joules = _over(readings, streams.period_s)
        scope = streams.info.scope
        own = rail_role(name, scope, stream.rail.role) if role == "total" else role
        what = rail_component(name) or ("other" if own == "part" else component(scope))
        found.append(ComponentJoules(what, meter, name, own, joules))
    return _with_excess(found)


def _with_excess(found: Sequence[ComponentJoules]) -> list[ComponentJoules]:
    """Return the rails; parts that cannot all be within their total carry a reason."""
    whole = added(rail.joules for rail in found if rail.role == "total")
    known = [r.joules for r in found if r.role == "part" and r.joules.energy_j is not None]
    if whole.energy_j is None or not known:
        return list(found)
    parts = added(known)
    bound_j = (whole.error_j or 0.0) + (parts.error_j or 0.0)
    excess_j = (parts.energy_j or 0.0) - whole.energy_j
    if excess_j <= bound_j:
        return list(found)
    why = f"the parts add up to {excess_j:.3g} J more than their total, beyond {bound_j:.2g} J"
    return [
        replace(rail, joules=replace(rail.joules, reason=why)) if rail.role == "part" else rail
        for rail in found
    ]


def _over(readings: Iterable[Reading], period_s: float) -> Joules:
    """Add up windows. Sampled power says nothing of a window that no reading fell into."""
    return added(_judged(reading, period_s) for reading in readings)


def _judged(reading: Reading, period_s: float) -> Joules:
    if reading.energy_j is not None and reading.kind == "sampled" and not reading.samples:
        length_s = reading.end_s - reading.start_s
        why = f"{length_s:.3g} s are too short: power was read every {period_s:.3g} s"
        return Joules(None, None, why, reading.flags)
    return Joules(reading.energy_j, reading.error_j, reading.reason, reading.flags)


def added(parts: Iterable[Joules]) -> Joules:
    """Return a sum; it has no figure if one of its parts has none. No part is kept."""
    energies_j, errors_j = array("d"), array("d")
    seen: set[str] = set()
    reasons: dict[str, None] = {}
    for part in parts:
        seen.update(part.flags)
        if part.energy_j is None:
            reasons[part.reason] = None
        else:
            energies_j.append(part.energy_j)
            errors_j.append(part.error_j or 0.0)
    flags = tuple(flag for flag in FLAGS if flag in seen)
    if reasons or not energies_j:
        return Joules(None, None, _told(list(reasons)) or "nothing was measured", flags)
    return Joules(math.fsum(energies_j), math.fsum(errors_j), "", flags)


def _told(reasons: Sequence[str]) -> str:
    """Return the first reasons, and how many more there are: each window may have its own."""
    more = len(reasons) - MOST_REASONS
    return "; ".join([*reasons[:MOST_REASONS], *([f"and {more} more"] if more > 0 else [])])


@contextlib.contextmanager
def launched_meters(
    totals: Sequence[str],
    witnesses: Sequence[str],
    folder: Path,
    *,
    rate_hz: float | None = None,
    reason: str = "",
    root: Path = Path("/"),
) -> Iterator[Callable[[], MeterSet]]:
    """Start meters, which run as long as the context is open; raw samples go to files in a folder.

    Yields what waits until all of them were read and returns them: until then their processes come
    up beside whatever else there is to do.

    Raises:
        MeterMissingError: if one cannot be started.
        UsageError: if those to be added up cover the same part, or a rate is impossible.
    """
    typed = [*((text, "total") for text in totals), *((text, "witness") for text in witnesses)]
    try:
        running = [
            RunningMeter(text, role, Collector(text, root, rate_hz, folder / f"{number}.bin"))
            for number, (text, role) in enumerate(typed, 1)
        ]
    except DeviceError as error:
        raise UsageError(error.message, error.remedy) from error
    with started(running, reason) as ready:
        yield ready


@contextlib.contextmanager
def started(running: Sequence[RunningMeter], reason: str) -> Iterator[Callable[[], MeterSet]]:
    """Start meters, which run as long as the context is open; as `launched_meters` says."""
    try:
        for meter in running:
            meter.collector.launch()
        yield lambda: _ready(running, reason)
    finally:
        for meter in running:
            meter.collector.end()
        for meter in running:
            meter.collector.stop()


@contextlib.contextmanager
def running_meters(
    totals: Sequence[str],
    witnesses: Sequence[str],
    folder: Path,
    *,
    rate_hz: float | None = None,
    reason: str = "",
    root: Path = Path("/"),
) -> Iterator[MeterSet]:
    """Run meters as long as the context is open; `launched_meters` says how."""
    with launched_meters(
        totals, witnesses, folder, rate_hz=rate_hz, reason=reason, root=root
    ) as ready:
        yield ready()


def _ready(running: Sequence[RunningMeter], reason: str) -> MeterSet:
    """Wait for the first reading of every meter, and see that those of the sum may be added."""
    try:
        for meter in running:
            meter.collector.wait_for_first()
    except DeviceError as error:
        raise MeterMissingError(error.message, error.remedy) from error
    meters = MeterSet(running, reason)
    why = overlap([Covered(m.name, m.streams().info.scope) for m in meters.totals])
    if why:
        raise UsageError(why, "Give one of them to --witness, which records without adding.")
    return meters
