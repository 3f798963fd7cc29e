"""Say whether a time server keeps this clock, and how far off another clock may be."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Any

_UNSYNCHRONISED = 5
"""What adjtimex(2) returns if no time server keeps the clock (TIME_ERROR)."""


class _Timex(ctypes.Structure):
    """The first fields of `struct timex` (adjtimex(2)); the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    )


def clock_state() -> dict[str, Any]:
    """Return whether a time server keeps the clock and the kernel's bound on its error.

    Nothing is known where the kernel does not say.
    """
    state = _Timex()
    try:
        found = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
    except (OSError, AttributeError):
        return {"kept": None, "most_error_s": None}
    if found < 0:
        return {"kept": None, "most_error_s": None, "why": os.strerror(ctypes.get_errno())}
    kept = found != _UNSYNCHRONISED
    return {"kept": kept, "most_error_s": state.maxerror * 1e-6 if kept else None}


@dataclass(frozen=True)
class ClockBounds:
    """Hold between which values another clock minus this one lies, in seconds.

    A message that left here at t0 and was there at r0, answered there at r1 and back here at t1,
    shows r1 − t1 ≤ offset ≤ r0 − t0. Several messages bound it more closely.
    """

    least_s: float = float("-inf")
    most_s: float = float("inf")

    def narrowed(
        self, sent_s: float, arrived_s: float, answered_s: float, received_s: float
    ) -> ClockBounds:
        """Return the bounds after one more message and its answer."""
        return ClockBounds(
            max(self.least_s, answered_s - received_s), min(self.most_s, arrived_s - sent_s)
        )

    @property
    def middle_s(self) -> float:
        """Return the offset halfway between the bounds."""
        return (self.least_s + self.most_s) / 2

    @property
    def width_s(self) -> float:
        """Return how far the bounds are apart."""
        return self.most_s - self.least_s

    @property
    def certain_s(self) -> float:
        """Return by how much the other clock is off at least; 0 if it may be right."""
        return max(self.least_s, -self.most_s, 0.0)
