"""Take the power of a host that does nothing off what was measured, with a bound on the error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devices.energy import Reading


@dataclass(frozen=True)
class IdlePower:
    """Hold the idle power of one session, before its first and after its last cell; None unknown.

    The errors are bounds from the meter's resolution and sampling over the idle windows, on the
    condition that `devices.error_bound` states.
    """

    before_w: float | None = None
    after_w: float | None = None
    before_error_w: float | None = None
    after_error_w: float | None = None

    @property
    def mean_w(self) -> float | None:
        """Return the mean of what is known."""
        known = [w for w in (self.before_w, self.after_w) if w is not None]
        return math.fsum(known) / len(known) if known else None

    @property
    def error_w(self) -> float | None:
        """Return half the drift and the mean error of the two; None without both."""
        if self.before_w is None or self.after_w is None:
            return None
        errors = (self.before_error_w or 0.0) + (self.after_error_w or 0.0)
        return 0.5 * (abs(self.after_w - self.before_w) + errors)

    def with_reading(self, when: str, reading: Reading | None) -> IdlePower:
        """Return it with the window `before` or `after`."""
        known = {**vars(self), f"{when}_w": idle_power_w(reading)}
        if reading is not None and reading.error_j is not None and known[f"{when}_w"] is not None:
            known[f"{when}_error_w"] = reading.error_j / (reading.end_s - reading.start_s)
        return IdlePower(**known)

    def with_joules(
        self, when: str, energy_j: float | None, error_j: float | None, time_s: float
    ) -> IdlePower:
        """Return it with the window `before` or `after`, of several meters together."""
        if energy_j is None or error_j is None or time_s <= 0.0:
            return self
        found = {f"{when}_w": energy_j / time_s, f"{when}_error_w": error_j / time_s}
        return IdlePower(**{**vars(self), **found})

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dict(vars(self))


def idle_power_w(reading: Reading | None) -> float | None:
    """Return the mean power of an idle window; None if it was not measured."""
    if reading is None or reading.energy_j is None or reading.end_s <= reading.start_s:
        return None
    return reading.energy_j / (reading.end_s - reading.start_s)


def read_idle(plain: object) -> IdlePower:
    """Return what a manifest says of a session's idle power."""
    values = plain if isinstance(plain, dict) else {}
    names = ("before_w", "after_w", "before_error_w", "after_error_w")
    numbers = {n: v for n in names if isinstance(v := values.get(n), float)}
    return IdlePower(**numbers)


def net_energy(
    energy_j: float | None,
    error_j: float | None,
    times_s: Mapping[int, float],
    idle: Mapping[int, IdlePower],
) -> tuple[float | None, float | None]:
    """Return joules above idle and a bound on their error.

    Args:
        energy_j: Joules of a cell.
        error_j: Bound on their error.
        times_s: Seconds of it by session.
        idle: Idle power by session.

    Returns:
        None for what cannot be known: net without idle power, its error without a second look.
    """
    powers = [(time_s, idle.get(session, IdlePower())) for session, time_s in times_s.items()]
    means = [time_s * p.mean_w for time_s, p in powers if p.mean_w is not None]
    errors = [time_s * p.error_w for time_s, p in powers if p.error_w is not None]
    if energy_j is None or len(means) < len(powers):
        return None, None
    net_j = energy_j - math.fsum(means)
    if error_j is None or len(errors) < len(powers):
        return net_j, None
    return net_j, error_j + math.fsum(errors)
