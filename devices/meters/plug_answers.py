"""Read what smart plugs answer: watts, and the step in which they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from devices.errors import DeviceError

PLUG_LIMIT_W = 4000.0
"""16 A at 250 V, the rating of the largest household plug."""

JOULES_PER_WATT_HOUR = 3600.0
SHELLY_STEP_W = 0.1
"""Shelly prints tenths of a watt and drops a trailing zero, so digits cannot be counted there."""

FIRST_SHELLY_STEP_W = 0.01
"""The first generation prints hundredths, and drops trailing zeros too."""


@dataclass(frozen=True)
class PlugReading:
    """Hold one answer of a plug.

    Attributes:
        power_w: Active power; below 0 if the load is wired the wrong way round.
        resolution_w: Step of the power.
        total_j: The plug's own energy counter; None if it has none.
        total_step_j: Step in which the counter is shown; None without a counter.
    """

    power_w: float
    resolution_w: float
    total_j: float | None
    total_step_j: float | None


def parse_shelly(data: Mapping[str, Any]) -> PlugReading:
    """Read the answer of `Switch.GetStatus` and kin: `apower` in W, `aenergy.total` in Wh.

    `PM1.GetStatus` has the same names; `EM1.GetStatus` says `act_power` and has no counter.

    Raises:
        DeviceError: No power, a reported fault, or the relay is off.
    """
    if data.get("errors"):
        raise DeviceError("the plug reports a fault of its meter")
    if data.get("output") is False:
        raise DeviceError("the plug's relay is off, so it does not feed the device")
    power = _number(data.get("apower", data.get("act_power")))
    if power is None or abs(power) > PLUG_LIMIT_W:
        raise DeviceError("the plug's answer holds no power: this model has no meter")
    counter = data.get("aenergy")
    total = _number(counter.get("total")) if isinstance(counter, Mapping) else None
    return _reading(power, SHELLY_STEP_W, total, JOULES_PER_WATT_HOUR)


def parse_first_shelly(data: Mapping[str, Any], counter_j: float) -> PlugReading:
    """Read the answer of a first-generation Shelly's `/meter/0` or `/emeter/0`: `power` in W.

    Args:
        data: The answer.
        counter_j: Joules of one count of `total`: a plug's counts watt-minutes, an energy meter's
            watt-hours.

    Raises:
        DeviceError: No power, or one that the plug itself calls invalid.
    """
    if data.get("is_valid") is False:
        raise DeviceError("the plug says that what its meter shows is not valid")
    power = _number(data.get("power"))
    if power is None or abs(power) > PLUG_LIMIT_W:
        raise DeviceError("the plug's answer holds no power: this model has no meter")
    return _reading(power, FIRST_SHELLY_STEP_W, _number(data.get("total")), counter_j)


def parse_tasmota(data: Mapping[str, Any]) -> PlugReading:
    """Read the answer of `Status 10`: ENERGY with `Power` in W and `Total` in kWh.

    A list of powers means several channels behind one plug; they are not added up by guess.

    Raises:
        DeviceError: No power of one channel.
        PermissionError: The plug wants a password.
    """
    if "Need user=" in str(data.get("WARNING", "")):
        raise PermissionError("the plug wants a password, or another one")
    sensors = data.get("StatusSNS", data)
    meter = sensors.get("ENERGY") if isinstance(sensors, Mapping) else None
    if not isinstance(meter, Mapping):
        raise DeviceError("the plug's answer has no ENERGY: this model has no meter")
    if isinstance(meter.get("Power"), list):
        raise DeviceError("the plug has several channels: use one with a single socket")
    power = _number(meter.get("Power"))
    if power is None or abs(power) > PLUG_LIMIT_W:
        raise DeviceError("the plug's answer holds no power")
    # Tasmota always prints as many decimals as WattRes and EnergyRes ask for.
    total = _number(meter.get("Total"))
    return _reading(power, _step(power), total, 1000.0 * JOULES_PER_WATT_HOUR)


def _reading(
    power: Decimal, resolution_w: float, total: Decimal | None, unit_j: float
) -> PlugReading:
    if total is None:
        return PlugReading(float(power), resolution_w, None, None)
    return PlugReading(float(power), resolution_w, float(total) * unit_j, _step(total) * unit_j)


def _step(number: Decimal) -> float:
    """Return what one unit of the last printed digit stands for."""
    exponent = number.as_tuple().exponent
    return 10.0 ** min(int(exponent), 0)


def _number(value: object) -> Decimal | None:
    """Return a JSON number of sane size; text, truth values and lists are none."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    # copy_abs does not round: abs would overflow on an absurd exponent
    return number if number.copy_abs() < Decimal("1e12") else None
