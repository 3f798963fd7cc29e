"""Let the device cool down between cells, so that each begins as the first one did."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import UsageError

POLL_S = 1.0
NEAR_C = 3.0
SHARE = 0.1
"""With `auto` a pause takes at most this share of the cell before it, so a run stays a run."""


@dataclass(frozen=True)
class CoolDown:
    """Say how to cool down: `auto`, `off`, or for a number of seconds."""

    auto: bool
    time_s: float = 0.0


def parse_cool_down(text: str) -> CoolDown:
    """Read the option.

    Raises:
        UsageError: if it is none of `auto`, `off` and a number of seconds.
    """
    if text in ("auto", "off"):
        return CoolDown(auto=text == "auto")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < math.inf:
        raise UsageError(f"--cool-down: cannot read '{text}'", "Give auto, off or seconds.")
    return CoolDown(auto=False, time_s=seconds)


@dataclass(frozen=True)
class Thermometer:
    """Read the temperature in °C (None if there is no sensor) and let time pass."""

    read_c: Callable[[], float | None]
    sleep: Callable[[float], None]
    clock: Callable[[], float]


def cool_down(
    how: CoolDown, baseline_c: float | None, last_cell_s: float, thermometer: Thermometer
) -> bool | None:
    """Wait as asked; say whether the device is as cool as at the start, None if that is unknown.

    `auto` waits until the temperature is within 3 °C of the baseline, and at most a tenth of the
    time of the cell before. Without a sensor it does not wait at all.
    """
    if not how.auto:
        if how.time_s > 0.0:
            thermometer.sleep(how.time_s)
        return _cool(thermometer.read_c(), baseline_c)
    deadline_s = thermometer.clock() + SHARE * last_cell_s
    while True:
        cool = _cool(thermometer.read_c(), baseline_c)
        left_s = deadline_s - thermometer.clock()
        if cool is not False or left_s <= 0.0:
            return cool
        thermometer.sleep(min(POLL_S, left_s))


def _cool(now_c: float | None, baseline_c: float | None) -> bool | None:
    if now_c is None or baseline_c is None:
        return None
    return now_c <= baseline_c + NEAR_C
