"""Decide whether an opened meter is usable: read, more than once, and plausible.

A file that opens proves nothing: counters stand at 0 in virtual machines, zones fail when they are
read, plugs and controllers answer 0 W. So every rail of the total is read at least three times over
two of the meter's periods. Its values must arrive, move where the sensor cannot stand still, and
lie between what such a device draws at rest and what it can draw at most.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from devices.meters.base import Meter, MeterInfo, Rail, RawSample

READS = 3
MOST_ROUNDS = 6
"""A lost answer, or a program that has not printed yet, is given a few rounds more."""

LONGEST_PERIOD_S = 1.0
"""No sensor that is known answers more slowly; a replayed trace may, and is not waited for."""

Sleep = Callable[[float], None]
Round = Sequence[RawSample]


@dataclass(frozen=True)
class Trial:
    """Hold what a meter did while it was tried.

    Attributes:
        info: Its description, with a note where something could not be judged.
        rounds: What each read gave.
        fault: Why it is not usable; empty if it is.
    """

    info: MeterInfo
    rounds: tuple[Round, ...]
    fault: str


def is_live(root: Path) -> bool:
    """Say whether files under `root` are those of a running system, and not a copy of them."""
    return root.resolve() == Path("/") or (root / "sys").is_mount()


def try_out(meter: Meter, sleep: Sleep = time.sleep) -> Trial:
    """Read an opened meter until it can be judged.

    Args:
        meter: The meter; its clock stamps the reads.
        sleep: Waits for some seconds.

    Raises:
        DeviceError: The meter is not open.
    """
    info = meter.describe()
    live = is_live(meter.root)
    period_s = min(1.0 / info.max_rate_hz, LONGEST_PERIOD_S)
    rounds: list[Round] = [meter.read()]
    while _goes_on(info, rounds, period_s, live):
        sleep(period_s)
        rounds.append(meter.read())
    fault = find_fault(info, rounds)
    still = _standing(info, rounds)
    if still is not None and not fault:
        text = f"{still.name} stands at {_values(info, rounds, still)[-1]:.6g} J"
        if live:
            fault = f"{text} and did not move in {len(rounds)} reads"
        else:
            note = f"{text}: in recorded files it does not move, so it could not be judged"
            info = replace(info, notes=(*info.notes, note))
    return Trial(info, tuple(rounds), fault)


def _goes_on(info: MeterInfo, rounds: Sequence[Round], period_s: float, live: bool) -> bool:
    """Say whether another read can tell more."""
    if len(rounds) < READS:
        return True
    still = _standing(info, rounds)
    if still is not None and live:
        return len(rounds) * period_s <= (still.stale_after_s or 0.0)
    counts = [len(_values(info, rounds, rail)) for rail in _totals(info)]
    wanting = any(counts) and min(counts) < READS
    return len(rounds) < MOST_ROUNDS and (wanting or not any(rounds))


def _totals(info: MeterInfo) -> list[Rail]:
    return [rail for rail in info.rails if rail.role == "total"]


def _samples(info: MeterInfo, rounds: Sequence[Round], rail: Rail) -> list[tuple[float, float]]:
    """Return times and values of a rail in order, without failed reads."""
    number = info.rails.index(rail)
    return [
        (s.before_s, s.value)
        for one in rounds
        for s in one
        if s.rail == number and s.value is not None and math.isfinite(s.value)
    ]


def _values(info: MeterInfo, rounds: Sequence[Round], rail: Rail) -> list[float]:
    """Return the values of a rail that may be true."""
    values = [value for _, value in _samples(info, rounds, rail)]
    return [v for v in values if info.kind == "counter" or rail.can_draw(v)]


def find_fault(info: MeterInfo, rounds: Sequence[Round]) -> str:
    """Say what rules a meter out by its readings; empty if nothing does.

    A meter without a rail for the whole is judged by none: it gives no figure anyway.
    """
    powers_w = []
    for rail in _totals(info):
        if len(_values(info, rounds, rail)) < READS:
            return _too_few(info, rounds, rail)
        if info.kind == "sampled":
            powers_w.append(statistics.fmean(_values(info, rounds, rail)))
            continue
        power_w, fault = _growth(rail, _samples(info, rounds, rail))
        if fault:
            return fault
        powers_w.append(power_w)
    moved = info.kind == "sampled" or _standing(info, rounds) is None
    return _too_low(info, math.fsum(powers_w)) if powers_w and moved else ""


def without_total(info: MeterInfo) -> str:
    """Say that a meter would give no figure, as it only has witnesses; empty if it has a total."""
    if _totals(info):
        return ""
    notes = "; ".join(info.notes)
    return "none of its rails stands for the whole" + (f": {notes}" if notes else "")


def _too_few(info: MeterInfo, rounds: Sequence[Round], rail: Rail) -> str:
    """Say why a rail gave less than is needed: by what it read, if it read anything."""
    read = [value for _, value in _samples(info, rounds, rail)]
    odd = [value for value in read if info.kind == "sampled" and not rail.can_draw(value)]
    if not odd:
        wanted = f", {READS} are needed" if read else ""
        return f"{rail.name} gave {len(read)} readings in {len(rounds)} reads{wanted}"
    if odd[-1] > rail.max_power_w:
        most = f"more than this device can draw ({rail.max_power_w:.4g} W)"
        return f"{rail.name} reads {odd[-1]:.4g} W, {most}"
    if replace(rail, min_power_w=None).can_draw(odd[-1]):
        return f"{rail.name}: {_too_low(info, odd[-1])}"
    why = "it charges or feeds in, or its sensor is wired the wrong way round"
    return f"{rail.name} reads {odd[-1]:.4g} W, below zero: {why}"


def _growth(rail: Rail, samples: Sequence[tuple[float, float]]) -> tuple[float, str]:
    """Return a counter's mean power, and what is wrong with its growth; wraps are not judged."""
    (start_s, start_j), (end_s, end_j) = samples[0], samples[-1]
    passed_s, grown_j = end_s - start_s, end_j - start_j
    if rail.stale_after_s is not None and not end_j and not grown_j:
        return 0.0, f"{rail.name} stands at 0 J and does not move: it counts nothing"
    if passed_s <= 0.0 or grown_j <= 0.0:
        return math.inf, ""
    if grown_j > rail.max_power_w * passed_s + (rail.resolution_j or 0.0):
        most = f"more than this device can draw ({rail.max_power_w:.4g} W)"
        return 0.0, f"{rail.name} grew by {grown_j:.3g} J in {passed_s:.3g} s, {most}"
    return grown_j / passed_s, ""


def _too_low(info: MeterInfo, power_w: float) -> str:
    if power_w > 0.0 and power_w >= info.least_power_w:
        return ""
    least = f" ({info.least_power_w:.3g} W)" if info.least_power_w else ""
    return f"it reads {power_w:.3g} W, below what a device of this kind draws at rest{least}"


def _standing(info: MeterInfo, rounds: Sequence[Round]) -> Rail | None:
    """Return the first counter of the total that must move and did not; None if there is none."""
    for rail in _totals(info) if info.kind == "counter" else ():
        values = _values(info, rounds, rail)
        if rail.stale_after_s is not None and values and len(set(values)) == 1:
            return rail
    return None
