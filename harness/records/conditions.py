"""Say what a moment's look at the board showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ConditionSample:
    """Hold what one look at the board showed.

    Attributes:
        t_s: moment on the run's clock.
        temperature_c: hottest plausible temperature in °C; None if the board shows none.
        flags: what had slowed or disturbed the board since the first look.
        gpu_temperature_c: temperature in °C of the card that works; None if none does, or its
            driver does not tell.
    """

    t_s: float
    temperature_c: float | None
    flags: Sequence[str] = ()
    gpu_temperature_c: float | None = None
