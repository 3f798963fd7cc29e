"""Simulate a meter whose true joules are known in closed form.

It exists so that everything downstream of a sensor can be checked against exact figures, on any
machine. Its scope is "made up"; no profile prefers it, so no run uses it unless told to, and it
never counts as a measurement.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Kind, Meter, MeterInfo, Rail, RawSample

Shape = Literal["constant", "ramp", "square"]


@dataclass(frozen=True)
class PowerCurve:
    """Describe a periodic power curve with exact integral.

    Attributes:
        shape: "constant" stays at `high_w`; "ramp" rises from `low_w` to `high_w` in each period
            and falls back at once; "square" is at `high_w` for the first `duty` of each period.
        low_w: Lower power, in watts.
        high_w: Upper power, in watts.
        period_s: Length of one period, in seconds.
        duty: Share of a square period spent at `high_w`, from 0 to 1.
    """

    shape: Shape = "constant"
    low_w: float = 5.0
    high_w: float = 10.0
    period_s: float = 1.0
    duty: float = 0.5

    def __post_init__(self) -> None:
        if self.shape not in ("constant", "ramp", "square"):
            raise DeviceError(f"unknown shape {self.shape!r}", "use constant, ramp or square")
        if self.period_s <= 0.0 or not 0.0 <= self.duty <= 1.0:
            raise DeviceError("the period must be above 0 s and the duty between 0 and 1")

    def power_w(self, time_s: float) -> float:
        """Return the power at `time_s`."""
        if self.shape == "constant":
            return self.high_w
        position = time_s / self.period_s - math.floor(time_s / self.period_s)
        if self.shape == "ramp":
            return self.low_w + (self.high_w - self.low_w) * position
        return self.high_w if position < self.duty else self.low_w

    def energy_j(self, time_s: float) -> float:
        """Return the integral of the power from 0 to `time_s`."""
        if self.shape == "constant":
            return self.high_w * time_s
        periods = math.floor(time_s / self.period_s)
        rest_s = time_s - periods * self.period_s
        swing_w = self.high_w - self.low_w
        if self.shape == "ramp":
            per_period_j = 0.5 * (self.low_w + self.high_w) * self.period_s
            return (
                periods * per_period_j
                + self.low_w * rest_s
                + 0.5 * swing_w * rest_s * rest_s / self.period_s
            )
        high_s = self.duty * self.period_s
        per_period_j = self.low_w * self.period_s + swing_w * high_s
        return periods * per_period_j + self.low_w * rest_s + swing_w * min(rest_s, high_s)


class SimulatedMeter(Meter):
    """Report a `PowerCurve` of the monotonic clock, as a counter or as sampled power.

    Options (all text): `kind` (counter or sampled), `shape`, `low_w`, `high_w`, `period_s`, `duty`,
    `start_s` (monotonic time at which the curve begins), `resolution_j`, `wrap_range_j` (0 for a
    counter that never wraps).
    """

    name = "simulated"
    made_up = True
    trial_fix = "give it a power above 0 W"
    option_names = (
        "kind",
        "shape",
        "low_w",
        "high_w",
        "period_s",
        "duty",
        "start_s",
        "resolution_j",
        "wrap_range_j",
    )

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, clock, options)
        self.kind = self._kind()
        self.curve = PowerCurve(
            shape=self.options.get("shape", "constant"),  # type: ignore[arg-type]  # checked there
            low_w=self.float_option("low_w", 5.0),
            high_w=self.float_option("high_w", 10.0),
            period_s=self.float_option("period_s", 1.0),
            duty=self.float_option("duty", 0.5),
        )
        self.start_s = self.float_option("start_s", 0.0)
        self.resolution_j = self.float_option("resolution_j", 1e-6)
        self.wrap_range_j = self.float_option("wrap_range_j", 0.0)
        if self.resolution_j <= 0.0 or self.wrap_range_j < 0.0:
            raise DeviceError("resolution_j must be above 0 and wrap_range_j not below 0")

    def _kind(self) -> Kind:
        text = self.options.get("kind", "counter")
        if text == "counter":
            return "counter"
        if text == "sampled":
            return "sampled"
        raise DeviceError(f"unknown kind {text!r}", "use counter or sampled")

    def refusal(self) -> Availability | None:
        """Refuse nothing: options that make no sense are an error of their own."""
        return None

    def open(self) -> None:
        """Do nothing: there is no hardware."""

    def read(self) -> list[RawSample]:
        """Return the curve's value now."""
        before_s = self.clock()
        value = self._value(before_s - self.start_s)
        return [RawSample(0, before_s, before_s, value)]

    def _value(self, time_s: float) -> float:
        if self.kind == "sampled":
            return self.curve.power_w(time_s)
        steps = math.floor(self.curve.energy_j(time_s) / self.resolution_j)
        energy_j = steps * self.resolution_j
        if self.wrap_range_j:
            energy_j = math.fmod(energy_j, self.wrap_range_j)
        return energy_j

    def close(self) -> None:
        """Do nothing: there is no hardware."""

    def describe(self) -> MeterInfo:
        """Describe the one simulated rail."""
        counter = self.kind == "counter"
        rail = Rail(
            name="simulated",
            resolution_j=self.resolution_j if counter else None,
            resolution_w=None if counter else 0.0,
            wrap_range_j=self.wrap_range_j or None,
            max_power_w=max(1.0, 2.0 * max(self.curve.low_w, self.curve.high_w)),
            min_power_w=min(0.0, self.curve.low_w, self.curve.high_w),
        )
        return MeterInfo(
            meter=self.name,
            kind=self.kind,
            scope="made up",
            rails=(rail,),
            max_rate_hz=1000.0,
            notes=("made up: no sensor is read; for tests, never for publication",),
        )
