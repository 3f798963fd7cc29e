"""Tell whether modelled energy says anything that time does not.

Without a sensor joules are computed by a power model. Where all cells keep the device equally busy,
as training does, that is one power times seconds: its ratios, tests and pictures are those of time,
and showing them twice would pass one piece of evidence off as two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from harness.evidence.paired import number

SPREAD = 0.02
"""Share by which the mean power of cells may differ and still be called one power."""


def modelled_power_w(rows: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the one power, in W, of which modelled energy is the product with time.

    None if finished cells differ in it by more than 2 %, if none has both figures, or if any energy
    was measured: then modelled energy stands beside it. Time is the device's own: measured where
    the host is the device, else modelled.

    Args:
        rows: rows of cells.csv, typed or as text.
    """
    powers = []
    for row in rows:
        if row.get("status") != "done":
            continue
        if number(row.get("energy_j")) is not None:
            return None
        joules, time_s = number(row.get("energy_model_j")), number(row.get(time_column(row)))
        if joules is not None and time_s:
            powers.append(joules / time_s)
    if not powers or min(powers) <= 0.0 or max(powers) > (1.0 + SPREAD) * min(powers):
        return None
    return math.fsum(powers) / len(powers)


def time_column(row: Mapping[str, Any]) -> str:
    """Return the column that has the device's own time: measured, or modelled of another device."""
    elsewhere = str(row.get("host_matches_device")).lower() == "false"
    return "time_model_s" if elsewhere else "time_s"


def restated_words(power_w: float) -> str:
    """Return the one sentence that stands wherever modelled energy is then left out."""
    return (
        f"Modelled energy is time × {power_w:.3g} W (the profile's power model, nothing measured),"
        " so it says nothing beyond time and is not compared."
    )
