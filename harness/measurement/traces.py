"""Turn samples into the rows of trace files."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import itemgetter

from devices.stream import Stream, StreamSet


def trace_rows(
    streams: StreamSet, start_s: float, end_s: float, zero_s: float
) -> list[dict[str, object]]:
    """Return the samples of a window as rows of the trace file.

    The one before it and the one after belong to them, as its figure rests on them.
    """
    rows = [row for s in streams.streams for row in _trace_rows(s, start_s, end_s, zero_s)]
    return sorted(rows, key=itemgetter("t_s", "rail"))


def _trace_rows(
    stream: Stream, start_s: float, end_s: float, zero_s: float
) -> Iterator[dict[str, object]]:
    first, last = bisect_left(stream.times_s, start_s), bisect_right(stream.times_s, end_s)
    first, last = max(0, first - 1), min(len(stream), last + 1)
    for index in range(first, last):
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
