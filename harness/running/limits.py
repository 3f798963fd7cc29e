"""Stop a run at a round's end once it has taken the time or the energy it was given."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.core.errors import UsageError

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_JOULES = {
    "": 1.0, "j": 1.0, "kj": 1e3, "mJ": 1e-3, "MJ": 1e6, "wh": 3600.0, "kwh": 3.6e6, "mWh": 3.6,
    "MWh": 3.6e9,
}  # fmt: skip
"""Unit → joules; with an m before it, and only there, the case of letters tells milli from mega."""


STOPPED_BY_USER = "stopped by the user"


class BudgetReachedError(Exception):
    """Stop training at a round's end; the run can go on later. It is no failure of a cell."""


@dataclass(frozen=True)
class Limits:
    """Hold what one start of a run may take; None is no limit."""

    time_s: float | None = None
    energy_j: float | None = None


@dataclass(frozen=True)
class Spent:
    """Hold joules taken since the start, and whether a meter measured them or a model gave them."""

    energy_j: float
    measured: bool


class Budget:
    """Watch the limits of one start.

    The clock is monotonic and injected; `spent` is asked only if energy is limited.
    """

    def __init__(
        self, limits: Limits, clock: Callable[[], float], spent: Callable[[], Spent]
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._spent = spent
        self._start_s = clock()

    def check(self) -> None:
        """Do nothing as long as there is something left.

        Raises:
            BudgetReachedError: saying which limit is reached, and whether joules are modelled.
        """
        time_s, energy_j = self._limits.time_s, self._limits.energy_j
        passed_s = self._clock() - self._start_s
        if time_s is not None and passed_s >= time_s:
            raise BudgetReachedError(f"the {time_s:g} s of --max-time are used up")
        if energy_j is None:
            return
        spent = self._spent()
        if spent.energy_j >= energy_j:
            origin = "measured" if spent.measured else "modelled"
            raise BudgetReachedError(f"the {energy_j:g} J of --max-energy are used up ({origin})")


def parse_time_s(text: str) -> float:
    """Read a length of time, as in `90`, `90s`, `30m`, `1h30m`; seconds.

    Raises:
        UsageError: if it is none, or not above zero.
    """
    pieces = re.findall(r"([0-9.]+)\s*([a-z]*)\s*", text.strip().lower())
    if not pieces or "".join(a + b for a, b in pieces) != re.sub(r"\s", "", text.lower()):
        pieces = []
    return _total("--max-time", text, pieces, _SECONDS, "30m, 90s or 1h30m")


def parse_energy_j(text: str) -> float:
    """Read an amount of energy, as in `500`, `500J`, `5kJ`, `1.5Wh`; joules.

    Raises:
        UsageError: if it is none, or not above zero.
    """
    found = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]*)", text.strip())
    pieces = []
    if found:
        unit = found[2] if found[2][:1] in ("m", "M") else found[2].lower()
        pieces = [(found[1], unit)]
    return _total("--max-energy", text, pieces, _JOULES, "5kJ, 500J or 1.5Wh")


def _total(
    option: str, text: str, pieces: list[tuple[str, str]], units: dict[str, float], examples: str
) -> float:
    try:
        total = math.fsum(float(number) * units[unit] for number, unit in pieces)
    except (KeyError, ValueError):
        total = math.nan
    if not 0.0 < total < math.inf:
        raise UsageError(f"{option}: cannot read '{text}'", f"Write it as in {examples}.")
    return total
