"""Model how long a device would take for given work: the roofline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from devices.profile import Profile


class Work(NamedTuple):
    """Count one piece of work: floating-point operations and bytes moved to or from memory."""

    flops: float
    bytes: float


@dataclass(frozen=True)
class TimeModel:
    """Model time by whichever of arithmetic and memory traffic takes longer, piece by piece.

    The roofline model (Williams, Waterman, Patterson, CACM 52(4), 2009), applied per piece and
    summed, since pieces (layers) run one after another.

    Attributes:
        flop_per_s: Sustained training throughput of the device.
        memory_bytes_per_s: Sustained memory bandwidth of the device.
    """

    flop_per_s: float
    memory_bytes_per_s: float

    @classmethod
    def from_profile(cls, profile: Profile) -> TimeModel:
        """Take the figures of a profile."""
        return cls(profile.compute.flop_per_s, profile.compute.memory_bytes_per_s)

    def time_s(self, pieces: Iterable[Work | tuple[float, float]]) -> float:
        """Return modelled seconds for pieces of (flops, bytes)."""
        return sum(
            (max(flops / self.flop_per_s, moved / self.memory_bytes_per_s))
            for flops, moved in pieces
        )
