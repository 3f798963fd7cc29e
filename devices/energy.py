"""Turn streams and a time window into joules with an error bound, or into a reason why not."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from devices.error_bound import (
    UNSTEADY_SHARE,
    edges_error_j,
    monotone_error_j,
    resolution_j,
    swing_error_j,
    unseen_error_j,
)
from devices.meters.base import Kind
from devices.stream import Stream, StreamSet

FLAGS = ("gap", "wrap", "reset", "few-samples", "partial", "impossible", "unsteady")
"""What can spoil or limit a figure, in the order in which flags are listed."""

FEW_SAMPLES = 3
"""A window with fewer samples inside rests on its interpolated edges."""

IMPOSSIBLE_SHARE = 0.05
"""Share of impossible samples above which the others are not believed either; one may be a slip."""


@dataclass(frozen=True)
class Reading:
    """Hold the energy of one window with everything needed to judge it.

    Attributes:
        energy_j: Measured joules; None if there is no valid figure.
        start_s: Start of the window on the monotonic clock.
        end_s: End of the window.
        meter: Name of the meter.
        scope: What the figure covers.
        kind: "counter" or "sampled".
        samples: Samples inside the window, of the rail that has fewest.
        longest_gap_s: Longest interval between samples that touches the window; None if unknown.
        wraps: Counter wrap-arounds inside the window, all rails.
        resolution_j: Energy that the sensor's step size stands for over this window.
        error_j: Bound on the error from resolution, sampling and edges; None without a figure. Of
            sampled power it is conditional: see `devices.error_bound.CONDITION`.
        flags: What spoilt or limits the figure, a subset of `FLAGS`.
        reason: Why `energy_j` is None; empty otherwise.
    """

    energy_j: float | None
    start_s: float
    end_s: float
    meter: str
    scope: str
    kind: Kind
    samples: int
    longest_gap_s: float | None
    wraps: int
    resolution_j: float
    error_j: float | None
    flags: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class _Window:
    """Bundle the limits that judging one rail needs."""

    start_s: float
    end_s: float
    gap_limit_s: float
    averaging_s: float
    ended: str


@dataclass(frozen=True)
class _RailEnergy:
    """Hold the outcome for one rail."""

    energy_j: float | None
    error_j: float
    unseen_j: float
    resolution_j: float
    samples: int
    longest_gap_s: float | None
    wraps: int
    flags: frozenset[str]
    reason: str


def energy(streams: StreamSet, start_s: float, end_s: float) -> Reading:
    """Return the energy of the meter's total rails between two monotonic times.

    Raises:
        ValueError: The window ends before it starts, or is not finite.
    """
    totals = [stream for stream in streams.streams if stream.rail.role == "total"]
    return _combine(streams, totals, start_s, end_s, streams.info.least_power_w)


def rail_energy(streams: StreamSet, rail_name: str, start_s: float, end_s: float) -> Reading:
    """Return the energy of one rail, for example of a witness.

    Raises:
        KeyError: The meter has no such rail.
        ValueError: The window ends before it starts, or is not finite.
    """
    return _combine(streams, [streams.stream(rail_name)], start_s, end_s)


def power_trace(stream: Stream) -> list[tuple[float, float]]:
    """Return (time, watts) pairs for plotting; a counter's mean since the sample before.

    The first sample of a counter and samples that follow a reset have no power and are left out.
    """
    pairs = zip(stream.times_s, stream.power_w, strict=True)
    return [(time_s, power_w) for time_s, power_w in pairs if not math.isnan(power_w)]


def _combine(
    streams: StreamSet, rails: list[Stream], start_s: float, end_s: float, least_w: float = 0.0
) -> Reading:
    """Add up rails; one rail without a figure leaves the whole without one.

    So does a whole that draws less than its device can while it runs, if it is told with `least_w`.
    """
    if not (math.isfinite(start_s) and math.isfinite(end_s)) or end_s < start_s:
        raise ValueError(f"not a window: {start_s} to {end_s}")
    info = streams.info
    window = _Window(start_s, end_s, streams.gap_limit_s, info.averaging_s, streams.ended)
    parts = [_rail_energy(rail, window) for rail in rails]
    flags = frozenset[str]().union(*(part.flags for part in parts))
    reasons = [part.reason for part in parts if part.energy_j is None]
    if not parts:
        reasons = ["the meter knows no rail that stands for the whole"]
    figures = [part.energy_j for part in parts if part.energy_j is not None]
    error_j = math.fsum(part.error_j for part in parts)
    if least_w and not reasons and math.fsum(figures) + error_j < least_w * (end_s - start_s):
        power_w = math.fsum(figures) / (end_s - start_s)
        reasons = [f"a mean of {power_w:.3g} W is less than this device draws at rest"]
        flags |= {"impossible"}
    gaps = [part.longest_gap_s for part in parts if part.longest_gap_s is not None]
    return Reading(
        energy_j=None if reasons else math.fsum(figures),
        start_s=start_s,
        end_s=end_s,
        meter=info.meter,
        scope=info.scope,
        kind=info.kind,
        samples=min((part.samples for part in parts), default=0),
        longest_gap_s=max(gaps, default=None),
        wraps=sum(part.wraps for part in parts),
        resolution_j=math.fsum(part.resolution_j for part in parts),
        error_j=None if reasons else error_j + math.fsum(part.unseen_j for part in parts),
        flags=tuple(flag for flag in FLAGS if flag in flags),
        reason="; ".join(dict.fromkeys(reasons)),
    )


def _rail_energy(stream: Stream, window: _Window) -> _RailEnergy:
    """Judge one rail over one window and integrate it if it is sound."""
    samples = _samples_inside(stream, window)
    duration_s = window.end_s - window.start_s
    step_j = resolution_j(stream, duration_s)
    uncovered = _uncovered(stream, window)
    if uncovered:
        flags = frozenset({"partial", "gap"}) if window.ended else frozenset({"partial"})
        return _RailEnergy(None, 0.0, 0.0, step_j, samples, None, 0, flags, uncovered)
    left = stream.segment(window.start_s)
    right = _last_segment(stream, window)
    times_s = stream.times_s
    longest_gap_s = max(times_s[i + 1] - times_s[i] for i in range(left, right + 1))
    wraps = stream.wraps[right + 1] - stream.wraps[left]
    flags = _flags(stream, window, (left, right), longest_gap_s, samples)
    flag, reason = _fault(stream, window, (left, right), longest_gap_s)
    if reason:
        kept = flags | {flag}
        return _RailEnergy(None, 0.0, 0.0, step_j, samples, longest_gap_s, wraps, kept, reason)
    energy_j = stream.energy_at_j(window.end_s) - stream.energy_at_j(window.start_s)
    unseen_j = 0.0
    if stream.kind == "counter":
        error_j = edges_error_j(stream, left, right, (window.start_s, window.end_s))
    else:
        swing_j = swing_error_j(stream, left, right, duration_s)
        error_j = monotone_error_j(stream, left, right, window.averaging_s) + swing_j
        if swing_j > UNSTEADY_SHARE * energy_j:
            flags |= {"unsteady"}
        unseen_j = max(0.0, unseen_error_j(stream, left, right, duration_s) - swing_j)
        if unseen_j:
            flags |= {"few-samples"}
    error_j += step_j
    return _RailEnergy(
        energy_j, error_j, unseen_j, step_j, samples, longest_gap_s, wraps, flags, ""
    )


def _samples_inside(stream: Stream, window: _Window) -> int:
    first = bisect_left(stream.times_s, window.start_s)
    return bisect_right(stream.times_s, window.end_s) - first


def _last_segment(stream: Stream, window: _Window) -> int:
    """Return the segment in which the window ends, not the one that begins there."""
    index = bisect_left(stream.times_s, window.end_s) - 1
    first = stream.segment(window.start_s)
    return min(max(index, first), len(stream) - 2)


def _uncovered(stream: Stream, window: _Window) -> str:
    """Say why the stream does not cover the window; empty if it does."""
    name = stream.rail.name
    if len(stream) < 2:
        return f"{name}: fewer than two samples were recorded{_tail(stream, window)}"
    if window.start_s < stream.times_s[0]:
        return f"{name}: the window starts before the first sample"
    if window.end_s > stream.times_s[-1]:
        return f"{name}: the window ends after the last sample{_tail(stream, window)}"
    return ""


def _tail(stream: Stream, window: _Window) -> str:
    """Say why there are no further samples; empty while it is only too early."""
    if window.ended:
        return f": {window.ended}"
    if stream.impossible_since:
        return f": the last {stream.impossible_since} show what this device cannot draw"
    return f": the last {stream.failed_since} reads failed" if stream.failed_since else ""


def _flags(
    stream: Stream,
    window: _Window,
    segments: tuple[int, int],
    longest_gap_s: float,
    samples: int,
) -> frozenset[str]:
    left, right = segments
    duration_s = window.end_s - window.start_s
    flags = set()
    if longest_gap_s > window.gap_limit_s or stream.failures[right + 1] > stream.failures[left]:
        flags.add("gap")
    if stream.wraps[right + 1] > stream.wraps[left]:
        flags.add("wrap")
    if stream.impossible[right + 1] > stream.impossible[left]:
        flags.add("impossible")
    if samples < FEW_SAMPLES or duration_s < 5.0 * window.averaging_s:
        flags.add("few-samples")
    return frozenset(flags)


def _fault(
    stream: Stream, window: _Window, segments: tuple[int, int], longest_gap_s: float
) -> tuple[str, str]:
    """Return flag and reason why the window must not become a number; empty if it may.

    A counter bridges a gap inside the window, since it went on counting; but an edge that falls
    into a gap would have to be guessed, and sampled power is unknown during any gap.
    """
    left, right = segments
    name = stream.rail.name
    times_s = stream.times_s
    if stream.resets[right + 1] > stream.resets[left]:
        return "reset", f"{name}: reset of the counter"
    if stream.kind == "sampled":
        if longest_gap_s > window.gap_limit_s:
            return "gap", f"{name}: no sample for {longest_gap_s:.3g} s"
        return _too_few_good(stream, left, right)
    for edge in (left, right):
        edge_s = times_s[edge + 1] - times_s[edge]
        if edge_s > window.gap_limit_s:
            return "gap", f"{name}: an edge of the window lies in {edge_s:.3g} s without samples"
    range_j = stream.rail.wrap_range_j
    if range_j is not None and longest_gap_s * stream.rail.max_power_w > range_j:
        return "gap", f"{name}: the counter may have wrapped unseen in {longest_gap_s:.3g} s"
    return "gap", _stuck(stream, left, right)


def _too_few_good(stream: Stream, left: int, right: int) -> tuple[str, str]:
    """Say that too much of a window was lost for the rest to stand for it.

    Readings are not lost by chance: what cannot be believed comes when the sensor or the limit is
    wrong, so the others would be a biased choice.
    """
    good = right + 2 - left
    lost = stream.failures[right + 1] - stream.failures[left]
    impossible = stream.impossible[right + 1] - stream.impossible[left]
    reads = good + lost
    name = stream.rail.name
    if impossible and (good < FEW_SAMPLES or impossible > max(1.0, IMPOSSIBLE_SHARE * reads)):
        text = f"{impossible} of {reads} readings show what this device cannot draw"
        return "impossible", f"{name}: {text}"
    if lost > good:
        return "gap", f"{name}: {lost} of {reads} reads failed"
    return "", ""


def _stuck(stream: Stream, left: int, right: int) -> str:
    """Say that the counter stood still for longer than this sensor can."""
    limit_s = stream.rail.stale_after_s
    if limit_s is None:
        return ""
    for index in range(left, right + 2):
        still_s = stream.times_s[index] - stream.still_since_s[index]
        if still_s >= limit_s:
            return f"{stream.rail.name}: the counter did not move for {still_s:.3g} s"
    return ""
