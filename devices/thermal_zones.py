"""Read the thermal zones that a kernel shows: what each is called and how warm it is."""

from __future__ import annotations

import re
from pathlib import Path

from devices.text_files import read_integer, read_text

COLDEST_C, HOTTEST_C = -40.0, 130.0
"""Beyond these a sensor is switched off or broken, not cold or hot."""

OF_GPU = re.compile(r"gpu([-_ ]?therm(al)?)?([-_ ]?zone)?", re.IGNORECASE)
"""Jetson's zone of the GPU: `GPU-therm` up to JetPack 5, `gpu-thermal` since (NVIDIA, Jetson Linux
Developer Guide, Thermal Specifications)."""


def zones(root: Path = Path("/")) -> list[tuple[str, float]]:
    """Return type and temperature in °C of every zone; constants (PMIC) and nonsense are left out.

    A zone that is powered off with its part, as that of a Jetson's idle GPU, cannot be read.
    """
    found = []
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        millidegrees, kind = read_integer(zone / "temp"), read_text(zone / "type")
        if millidegrees is None or "PMIC" in kind.upper():
            continue
        if COLDEST_C < millidegrees / 1000.0 < HOTTEST_C:
            found.append((kind, millidegrees / 1000.0))
    return found


def hottest_c(root: Path = Path("/")) -> float | None:
    """Return the temperature in °C of the hottest zone; None if none can be read."""
    return max((celsius for _, celsius in zones(root)), default=None)


def gpu_zone_c(root: Path = Path("/")) -> float | None:
    """Return the temperature in °C of the zone of a board's GPU; None if it shows none."""
    return max((celsius for kind, celsius in zones(root) if OF_GPU.fullmatch(kind)), default=None)
