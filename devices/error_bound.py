"""Bound the error of a window's joules, and say on what condition the bound holds.

A counter accumulates inside the device, so its bound holds whatever the power does. Sampled power
is not known between two readings. Were it read at a fixed pace, power that swings in step with that
pace would look constant: a square wave of 1 Hz read at 1 Hz is up to 100 % wrong, and nothing shows
it. Readings are therefore taken at random moments (`devices.sampling`), which turns such swings
into differences between neighbouring samples, and these widen the bound.
"""

from __future__ import annotations

import math

from devices.stream import Stream

CONDITION = (
    "holds if power between two readings stays between what they show, or swings often enough for"
    " readings at random moments to meet its levels; a peak that none of 32 readings or more meets"
    " is not in it, fewer readings could have missed any the device can draw"
)
"""What the bound of sampled power rests on; it goes wherever the product speaks of the bound."""

STANDARD_ERRORS = 3.0
CONTEXT_SAMPLES = 32
"""A window with fewer samples is judged by the swings around it too: three readings of a square
wave are alike once in four times."""

MISSED = 0.05
"""Probability with which a peak that is left out of account could have been missed."""

UNSTEADY_SHARE = 0.1
"""Share of the joules above which what swings add to the bound is flagged."""


def resolution_j(stream: Stream, duration_s: float) -> float:
    """Return the joules that one step of the sensor stands for: two counts, or ½ step all along."""
    if stream.kind == "counter":
        return 2.0 * (stream.rail.resolution_j or 0.0)
    return 0.5 * (stream.rail.resolution_w or 0.0) * duration_s


def edges_error_j(stream: Stream, left: int, right: int, window: tuple[float, float]) -> float:
    """Bound a counter's error: the energy of an edge's segment could lie on one side of the edge.

    Args:
        stream: A counter.
        left: Segment in which the window begins.
        right: Segment in which it ends.
        window: Start and end, in seconds.
    """
    edges = zip((left, right), window, strict=True)
    return math.fsum(_edge_error_j(stream, segment, time_s) for segment, time_s in edges)


def _edge_error_j(stream: Stream, segment: int, time_s: float) -> float:
    start_s = stream.times_s[segment]
    step_j = stream.curve_j[segment + 1] - stream.curve_j[segment]
    share = (time_s - start_s) / (stream.times_s[segment + 1] - start_s)
    if share in (0.0, 1.0):
        return 0.0
    return step_j * max(share, 1.0 - share)


def monotone_error_j(stream: Stream, left: int, right: int, averaging_s: float) -> float:
    """Bound sampled power's error where power is monotone between samples.

    It is the sum of ½·|ΔP|·Δt, plus ½·ΔP·τ for each edge, because a sensor that averages over τ
    smears a change across it.
    """
    spread_j = stream.spread_j[right + 1] - stream.spread_j[left]
    seen_w = stream.power_w[left : right + 2]
    return spread_j + (max(seen_w) - min(seen_w)) * averaging_s


def swing_error_j(stream: Stream, left: int, right: int, duration_s: float) -> float:
    """Return three standard errors of power that swings faster than it is read; 0 if none shows.

    The samples that stand out from both neighbours tell how much (`Stream.turns_w2`): those of the
    window, or those around it where the window has few samples and they show more.
    """
    missing = max(0, CONTEXT_SAMPLES - (right - left))
    first = max(0, left - missing)
    last = min(len(stream) - 1, right + 1 + missing)
    spans = ((left, right + 1), (first, last))
    variance_j2 = max(_swing_j2(stream, span, duration_s) for span in spans)
    return STANDARD_ERRORS * math.sqrt(variance_j2)


def unseen_error_j(stream: Stream, left: int, right: int, duration_s: float) -> float:
    """Bound what peaks can have added that few readings did not meet; 0 where there are enough.

    n readings at random moments all miss a peak of duty p with probability (1 - p)^n, so duties
    above 1 - 0.05^(1/n) are excluded with 95 %; how high one reaches, only the device's limit says.
    From 32 readings on, in and around the window, a duty of a tenth is seen 29 times in 30.
    """
    missing = max(0, CONTEXT_SAMPLES - (right - left))
    first = max(0, left - missing)
    last = min(len(stream) - 1, right + 1 + missing)
    readings = last + 1 - first
    if readings >= CONTEXT_SAMPLES:
        return 0.0
    duty = 1.0 - math.pow(MISSED, 1.0 / readings)
    above_w = stream.rail.max_power_w - min(stream.power_w[first : last + 1])
    return duty * max(0.0, above_w) * duration_s


def _swing_j2(stream: Stream, span: tuple[int, int], duration_s: float) -> float:
    """Return the variance of joules over a duration, from what stands out between two samples.

    Every sample counts with the mean interval: with its own, windows that missed peaks because
    their readings lay close to one another would have the narrowest bounds.
    """
    first, last = span
    turns = stream.turns[last] - stream.turns[first]
    if not turns:
        return 0.0
    interval_s = (stream.times_s[last] - stream.times_s[first]) / (last - first)
    variance_w2 = (stream.turns_w2[last] - stream.turns_w2[first]) / (last - first)
    # a few peaks met by chance could as well have been two more
    return variance_w2 * (1.0 + 2.0 / turns) * interval_s * duration_s
