"""Turn segments of phases into measured and modelled time and energy, kept strictly apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from devices.energy import Reading, energy
from devices.power_model import PowerModel
from devices.stream import StreamSet
from devices.time_model import HostTiming, TimeModel
from harness.core.schema import COST_PHASES
from harness.federated.work import Work
from harness.measurement.phases import Segment


@dataclass(frozen=True)
class SegmentCost:
    """Hold what one segment took; `reading` is None without a meter."""

    segment: Segment
    reading: Reading | None
    time_model_s: float | None
    energy_model_j: float


@dataclass(frozen=True)
class DeviceModel:
    """Model another device's seconds from counted work and from what the parts took on the host."""

    time: TimeModel
    host: HostTiming

    @cached_property
    def forward_s(self) -> Mapping[str, float]:
        """Return the seconds of one image through each part, forward."""
        return self.time.forward_s(self.host)

    def time_s(self, work: Work) -> float:
        """Return modelled seconds of counted work."""
        passes = sum(n * self.forward_s[part] for part, n in work.forwards.items())
        return passes + work.bytes_moved / self.time.memory_bytes_per_s


@dataclass(frozen=True)
class Accountant:
    """Know how to cost segments on this host, or for another device if `device` is given."""

    power: PowerModel
    device: DeviceModel | None

    def figures(self, segment: Segment, streams: StreamSet | None) -> SegmentCost:
        """Return the measured and the modelled cost of one segment."""
        reading = energy(streams, segment.start_s, segment.end_s) if streams else None
        if self.device is None:
            joules = self.power.energy_on_host_j(segment.time_s, segment.cpu_s)
            return SegmentCost(segment, reading, None, joules)
        seconds = self.device.time_s(segment.work)
        return SegmentCost(segment, reading, seconds, self.power.energy_elsewhere_j(seconds))


@dataclass(frozen=True)
class Cost:
    """Sum up the phases a cell is charged for."""

    time_s: float
    time_model_s: float | None
    energy_j: float | None
    energy_error_j: float | None
    energy_reason: str
    energy_model_j: float
    work: Work


def cell_cost(figures: Sequence[SegmentCost], streams: StreamSet | None, no_meter: str) -> Cost:
    """Return the cost of the charged phases (`COST_PHASES`) among the figures of one cell.

    Joules are the sum over segments. Their error bound is taken over stretches of adjoining
    segments, since what is wrong at an edge between two of them cancels in the sum. Of sampled
    power it is conditional (`devices.error_bound`).
    """
    charged = [f for f in figures if f.segment.label.phase in COST_PHASES]
    modelled = [f.time_model_s for f in charged]
    work = sum((f.segment.work for f in charged), Work())
    joules, reason = _joules(charged, no_meter)
    return Cost(
        time_s=math.fsum(f.segment.time_s for f in charged),
        time_model_s=None if None in modelled else math.fsum(filter(None, modelled)),
        energy_j=joules,
        energy_error_j=_error_j(figures, streams) if joules is not None and streams else None,
        energy_reason=reason,
        energy_model_j=math.fsum(f.energy_model_j for f in charged),
        work=work,
    )


def _joules(charged: Sequence[SegmentCost], no_meter: str) -> tuple[float | None, str]:
    readings = [f.reading for f in charged if f.reading is not None]
    if len(readings) < len(charged) or not readings:
        return None, no_meter or "nothing was measured"
    values = [r.energy_j for r in readings if r.energy_j is not None]
    if len(values) < len(readings):
        reasons = dict.fromkeys(r.reason for r in readings if r.energy_j is None)
        return None, "; ".join(reasons)
    return math.fsum(values), ""


def _error_j(figures: Sequence[SegmentCost], streams: StreamSet) -> float:
    bounds = (energy(streams, start, end).error_j for start, end in _stretches(figures))
    return math.fsum(bound for bound in bounds if bound is not None)


def _stretches(figures: Iterable[SegmentCost]) -> list[tuple[float, float]]:
    """Return windows of charged segments between which no other segment lies."""
    found: list[tuple[float, float]] = []
    joined = False
    for figure in sorted(figures, key=lambda f: f.segment.start_s):
        charged = figure.segment.label.phase in COST_PHASES
        if charged and joined:
            found[-1] = (found[-1][0], figure.segment.end_s)
        elif charged:
            found.append((figure.segment.start_s, figure.segment.end_s))
        joined = charged
    return found
