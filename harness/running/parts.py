"""Put a cell together that was measured in several sittings, each with samples of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devices.stream import StreamSet
from harness.federated.work import Work
from harness.measurement.cost import Bill, Figures, bill


@dataclass(frozen=True)
class Part:
    """Hold what one sitting measured of a cell; times are of that sitting's monotonic clock.

    `zero_s` is the moment on that clock at which the run's own time is 0.
    """

    sitting: int
    zero_s: float
    figures: Sequence[Figures]
    streams: StreamSet | None

    def bill(self, no_meter: str) -> Bill:
        """Return what the part costs."""
        return bill(self.figures, self.streams, no_meter)


def whole_bill(bills: Sequence[Bill]) -> Bill:
    """Add up the parts of a cell. One without joules leaves the whole without them.

    Nothing is stitched: each part ends where a round ended, and what was broken off is in none.
    """
    reasons = dict.fromkeys(b.energy_reason for b in bills if b.energy_j is None)
    return Bill(
        time_s=math.fsum(b.time_s for b in bills),
        time_model_s=_total(b.time_model_s for b in bills),
        energy_j=_total(b.energy_j for b in bills),
        energy_error_j=_total(b.energy_error_j for b in bills),
        energy_reason="; ".join(reasons),
        energy_model_j=math.fsum(b.energy_model_j for b in bills),
        work=sum((b.work for b in bills), Work()),
    )


def _total(values: Iterable[float | None]) -> float | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return math.fsum(known) if found and len(known) == len(found) else None
