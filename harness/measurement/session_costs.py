"""Put a cell together that was measured in several sessions, each with samples of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devices.stream import StreamSet
from harness.federated.work import Work
from harness.measurement.cost import Cost, SegmentCost, cell_cost


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
