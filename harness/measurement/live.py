"""Say what a meter shows now, and what was taken since it was started."""

from __future__ import annotations

import math
from dataclasses import dataclass

from devices.stream import StreamSet


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
