"""Powers of time whose energy is known in closed form, and sensors that show them.

Everything here is a pure function of time, so that a player, a benchmark and a test agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Shape = Literal["constant", "steps", "ramps"]


@dataclass(frozen=True)
class Wave:
    """Repeat for ever: idle, then the shape, then idle again.

    Attributes:
        shape: "constant" stays midway; "steps" is high and low for half a period each; "ramps"
            rises from low to high in half a period and falls back in the other.
        idle_w: Power outside the shape.
        low_w: Lower power of the shape.
        high_w: Upper power of the shape.
        period_s: Period of the shape.
        idle_s: Idle time on either side of the shape.
        body_s: Length of the shape; a whole number of periods.
    """

    shape: Shape
    idle_w: float = 20.0
    low_w: float = 20.0
    high_w: float = 140.0
    period_s: float = 0.1
    idle_s: float = 4.0
    body_s: float = 22.0

    def __post_init__(self) -> None:
        periods = self.body_s / self.period_s
        if abs(periods - round(periods)) > 1e-9:
            raise ValueError("the shape must hold whole periods")

    @property
    def cycle_s(self) -> float:
        """Return the time after which all repeats."""
        return self.body_s + 2.0 * self.idle_s

    @property
    def cycle_j(self) -> float:
        """Return the energy of one cycle; every shape has the same mean."""
        return self.idle_w * 2.0 * self.idle_s + 0.5 * (self.low_w + self.high_w) * self.body_s

    def energy_j(self, time_s: float) -> float:
        """Return the integral of the power from 0 to `time_s`."""
        cycles = math.floor(time_s / self.cycle_s)
        rest_s = time_s - cycles * self.cycle_s
        in_body_s = min(max(rest_s - self.idle_s, 0.0), self.body_s)
        idle_j = self.idle_w * (rest_s - in_body_s)
        return cycles * self.cycle_j + idle_j + self._body_j(in_body_s)

    def _body_j(self, time_s: float) -> float:
        """Return the integral of the shape's power from its beginning."""
        mean_w, swing_w = 0.5 * (self.low_w + self.high_w), self.high_w - self.low_w
        if self.shape == "constant":
            return mean_w * time_s
        periods = math.floor(time_s / self.period_s)
        rest_s = time_s - periods * self.period_s
        half_s = 0.5 * self.period_s
        first_s, second_s = min(rest_s, half_s), max(rest_s - half_s, 0.0)
        whole_j = periods * mean_w * self.period_s
        if self.shape == "steps":
            return whole_j + self.low_w * rest_s + swing_w * first_s
        slope = swing_w / half_s
        rising_j = 0.5 * slope * first_s * first_s
        falling_j = swing_w * second_s - 0.5 * slope * second_s * second_s
        return whole_j + self.low_w * rest_s + rising_j + falling_j

    def mean_w(self, start_s: float, end_s: float) -> float:
        """Return the mean power between two times."""
        return (self.energy_j(end_s) - self.energy_j(start_s)) / (end_s - start_s)


WAVES = (
    Wave("constant"),
    Wave("steps", period_s=0.1),  # every 50 ms
    Wave("ramps", period_s=5.5),
)


@dataclass(frozen=True)
class EnergyCounter:
    """Show a wave as RAPL does: whole energy units in microjoules, starting again at the range.

    Attributes:
        wave: What is shown.
        range_uj: Value at which the counter starts again.
        start_uj: Its value at time 0.
    """

    wave: Wave
    range_uj: int
    start_uj: int = 0
    unit_uj: float = 1e6 / 2**14

    def text(self, time_s: float) -> str:
        """Return the content of `energy_uj`, always of the same length."""
        units = math.floor(self.wave.energy_j(time_s) * 1e6 / self.unit_uj)
        return f"{(self.start_uj + round(units * self.unit_uj)) % self.range_uj:015d}\n"


@dataclass(frozen=True)
class AveragingSensor:
    """Show a wave as an INA3221 does: the mean over the last whole block, in steps of its ADC.

    Attributes:
        wave: What is shown.
        block_s: Time over which the chip averages before it shows the next reading.
        volts: Bus voltage, which stays.
        step_ma: Step of the current, 40 µV over the shunt.
    """

    wave: Wave
    block_s: float = 0.43
    volts: float = 5.0
    step_ma: int = 8

    def text(self, time_s: float) -> str:
        """Return the content of `curr1_input`, in milliamperes and always of the same length."""
        end_s = math.floor(time_s / self.block_s) * self.block_s
        power_w = self.wave.mean_w(end_s - self.block_s, end_s)
        steps = round(power_w / self.volts * 1000.0 / self.step_ma)
        return f"{steps * self.step_ma:08d}\n"
