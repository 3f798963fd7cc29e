"""Find the highest power that the rails of a meter drew together."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

from devices.stream import Stream, StreamSet
from harness.measurement.spans import Window

Round = tuple[int, ...]
"""The places of one reading in the streams of all rails."""


def peak_w(streams: StreamSet, windows: Sequence[Window]) -> float | None:
    """Return the highest sum of the rails' powers in some windows; None if nothing tells it.

    Of counters it is the mean between two readings, both of which lie in one window: what was drawn
    before a window is no part of it.
    """
    totals = [stream for stream in streams.streams if stream.rail.role == "total"]
    if not totals:
        return None
    rounds = list(_rounds(totals, streams.period_s))
    counter = streams.info.kind == "counter"
    powers = _means_w(totals, rounds) if counter else _sampled_w(totals, rounds)
    found = [
        power_w
        for first_s, last_s, power_w in powers
        if any(start_s <= first_s and last_s <= end_s for start_s, end_s in windows)
    ]
    return max(found, default=None)


def _rounds(totals: Sequence[Stream], period_s: float) -> Iterator[Round]:
    """Yield the readings at which every rail gave a value, a lost one being no place in a stream.

    Rails are read one after another, so those of a reading follow its first within a period, and
    come before the first of the next one.
    """
    first, *others = totals
    for place, time_s in enumerate(first.times_s):
        following = [bisect_left(stream.times_s, time_s) for stream in others]
        until_s = time_s + period_s
        if place + 1 < len(first):
            until_s = min(until_s, first.times_s[place + 1])
        if all(
            at < len(stream) and stream.times_s[at] < until_s
            for at, stream in zip(following, others, strict=True)
        ):
            yield (place, *following)


def _sampled_w(
    totals: Sequence[Stream], rounds: Sequence[Round]
) -> Iterator[tuple[float, float, float]]:
    """Yield the times of first and last rail of each reading, and the sum of what they showed."""
    for places in rounds:
        read = list(zip(totals, places, strict=True))
        times_s = [stream.times_s[place] for stream, place in read]
        yield min(times_s), max(times_s), math.fsum(stream.power_w[place] for stream, place in read)


def _means_w(
    totals: Sequence[Stream], rounds: Sequence[Round]
) -> Iterator[tuple[float, float, float]]:
    """Yield beginning and end of each stretch between two readings, and its mean power.

    One in which a counter started again has none.
    """
    for before, after in pairwise(rounds):
        stretches = list(zip(totals, before, after, strict=True))
        if any(stream.resets[left] != stream.resets[right] for stream, left, right in stretches):
            continue
        first_s = min(stream.times_s[left] for stream, left, _ in stretches)
        last_s = max(stream.times_s[right] for stream, _, right in stretches)
        yield first_s, last_s, math.fsum(
            (stream.curve_j[right] - stream.curve_j[left])
            / (stream.times_s[right] - stream.times_s[left])
            for stream, left, right in stretches
        )  # fmt: skip
