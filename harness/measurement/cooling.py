"""Let the device cool down between cells, so that each begins as calm as the first one did."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from devices.plain_numbers import plain_float
from harness.core.errors import UsageError

POLL_S = 1.0
"""From one look to the next, and the window over which power is averaged."""

NEAR_C = 3.0
NEAR_POWER = 0.1
"""Power is back at the baseline up to this share above it, as idle power drifts that much."""

MOST_S = 86_400.0
"""A day; what a clock cannot count to would end a run in its middle."""

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
        seconds = plain_float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds <= MOST_S:
        remedy = f"Give auto, off or seconds, {MOST_S:.0f} at most."
        raise UsageError(f"--cool-down: cannot read '{text}'", remedy)
    return CoolDown(auto=False, time_s=seconds)


@dataclass(frozen=True)
class Calm:
    """Hold how warm a device at rest is and what it draws; None for what is not known.

    Attributes:
        temperature_c: Hottest temperature of the host in °C.
        power_w: Power in W.
        gpu_temperature_c: Temperature in °C of the GPU that trains. The host's hottest part need
            not be the GPU, and on a computer a card is none of its parts.
    """

    temperature_c: float | None = None
    power_w: float | None = None
    gpu_temperature_c: float | None = None

    def reached_by(self, now: Calm) -> bool | None:
        """Say whether a later moment is as cool and as calm; None if neither can be compared."""
        limits = (
            (now.temperature_c, self.temperature_c, NEAR_C),
            (now.gpu_temperature_c, self.gpu_temperature_c, NEAR_C),
            (now.power_w, self.power_w, NEAR_POWER * (self.power_w or 0.0)),
        )
        known = [x <= base + near for x, base, near in limits if None not in (x, base)]  # type: ignore[operator]
        return all(known) if known else None


@dataclass(frozen=True)
class Gauges:
    """Read temperatures, and mean power since a moment of the clock; let time pass.

    A reading is None without a sensor. The clock is that of the meter's samples.
    """

    read_c: Callable[[], float | None]
    read_w: Callable[[float], float | None]
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    read_gpu_c: Callable[[], float | None] = lambda: None

    def now(self, power_w: float | None = None) -> Calm:
        """Return how warm the device is now, beside a power that was read."""
        return Calm(self.read_c(), power_w, self.read_gpu_c())


@dataclass(frozen=True)
class Cooled:
    """Hold how a pause ended: after how long, how calm, and whether that is the baseline's."""

    waited_s: float
    now: Calm
    calm: bool | None


def cool_down(how: CoolDown, baseline: Calm, last_cell_s: float, gauges: Gauges) -> Cooled:
    """Wait as asked and say whether temperatures and power are back at the baseline.

    `auto` waits until the temperatures of host and GPU are within 3 °C of the baseline and the mean
    power of the last second at most a tenth above it, and at most a tenth of the time of the cell
    before. Without a sensor it does not wait at all.
    """
    began_s = gauges.clock()
    limit_s = SHARE * last_cell_s if how.auto else how.time_s
    now = gauges.now()
    if how.auto and baseline.power_w is None and baseline.reached_by(now) is not False:
        return Cooled(0.0, now, baseline.reached_by(now))
    while (left_s := began_s + limit_s - gauges.clock()) > 0.0:
        pause_s = min(POLL_S, left_s) if how.auto else left_s
        looked_s = gauges.clock() + pause_s - min(POLL_S, pause_s)
        gauges.sleep(pause_s)
        now = gauges.now(gauges.read_w(looked_s))
        if how.auto and baseline.reached_by(now) is not False:
            break
    return Cooled(gauges.clock() - began_s, now, baseline.reached_by(now))
