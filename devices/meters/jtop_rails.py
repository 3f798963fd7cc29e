"""Take the raw rails out of what jetson-stats says about power, and compute watts from them.

The service moves the rail it thinks is the total out of `rail` and into `tot`, with its name; where
it adds rails up instead, `tot` has no name and is of no use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from devices.meters.base import Rejected

RAIL_LIMIT_W = 1000.0
RailData = Mapping[str, object]


def merge_rails(power: object) -> tuple[dict[str, RailData], tuple[Rejected, ...]]:
    """Return the rails by name, the total rail put back among them, and what is not read.

    Args:
        power: The client's `power`: `{"rail": {name: {…}}, "tot": {…}}`. Anything else is no rail.
    """
    rails: dict[str, RailData] = {}
    rejected: list[Rejected] = []
    if not isinstance(power, Mapping):
        return rails, ()
    total = power.get("tot")
    if isinstance(total, Mapping):
        name = total.get("name")
        if isinstance(name, str) and name:
            rails[name] = total
        else:
            rejected.append(Rejected("tot", "a sum of rails that may contain one another"))
    listed = power.get("rail")
    for name, data in listed.items() if isinstance(listed, Mapping) else ():
        if not isinstance(name, str) or not isinstance(data, Mapping):
            continue
        if name == "NC":
            rejected.append(Rejected(name, "not connected"))
        elif name.startswith("ucsi") or data.get("status") is not None:
            rejected.append(Rejected(name, "a power supply or battery, not a rail of the module"))
        else:
            rails.setdefault(name, data)
    return rails, tuple(rejected)


def rail_power_w(data: RailData) -> float | None:
    """Return volts × amperes, or the sensor's own watts where there is no current.

    The service's `power` is cut to whole milliwatts, so the product is taken where it can be.
    Small negative values are real: one step of the converter below zero.
    """
    volt_mv = _number(data.get("volt"))
    current_ma = _number(data.get("curr"))
    if data.get("online") is False:
        return None
    if volt_mv is not None and current_ma is not None:
        return _plausible_w(volt_mv * 1e-3 * current_ma * 1e-3)
    power_mw = _number(data.get("power"))
    return None if power_mw is None else _plausible_w(power_mw * 1e-3)


def _plausible_w(power_w: float) -> float | None:
    return power_w if abs(power_w) <= RAIL_LIMIT_W else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) > 10**12:
        return None
    return float(value) if math.isfinite(value) else None
