"""Hold what stretches of a cell cost, measured and modelled strictly apart, and add them up.

A cell may be measured in several sessions of its run, each with samples of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devices.energy import Reading, energy
from devices.stream import StreamSet
from harness.core.schema import COST_PHASES
from harness.records.phases import Segment
from harness.records.work import Work


@dataclass(frozen=True)
class SegmentCost:
    """Hold what one segment took; `reading` is None without a meter."""

    segment: Segment
    reading: Reading | None
    time_model_s: float | None
    energy_model_j: float


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
    bounds = (energy(streams, start, end).error_j for start, end in charged_stretches(figures))
    return math.fsum(bound for bound in bounds if bound is not None)


def charged_stretches(figures: Iterable[SegmentCost]) -> list[tuple[float, float]]:
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


@dataclass(frozen=True)
class SessionCost:
    """Hold what one session measured of a cell; times are of that session's monotonic clock.

    `zero_s` is the moment on that clock at which the run's own time is 0.
    """

    session: int
    zero_s: float
    figures: Sequence[SegmentCost]
    streams: StreamSet | None

    def cost(self, no_meter: str) -> Cost:
        """Return what the part costs."""
        return cell_cost(self.figures, self.streams, no_meter)


def total_cost(costs: Sequence[Cost]) -> Cost:
    """Add up the parts of a cell. One without joules leaves the whole without them.

    Nothing is stitched: each part ends where a round ended, and what was broken off is in none.
    """
    reasons = dict.fromkeys(b.energy_reason for b in costs if b.energy_j is None)
    return Cost(
        time_s=math.fsum(b.time_s for b in costs),
        time_model_s=_total(b.time_model_s for b in costs),
        energy_j=_total(b.energy_j for b in costs),
        energy_error_j=_total(b.energy_error_j for b in costs),
        energy_reason="; ".join(reasons),
        energy_model_j=math.fsum(b.energy_model_j for b in costs),
        work=sum((b.work for b in costs), Work()),
    )


def _total(values: Iterable[float | None]) -> float | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return math.fsum(known) if found and len(known) == len(found) else None
