"""Model how long another device would take, from what this host took.

What a layer costs is bound by arithmetic (dense convolutions) or by everything else: memory
traffic, and calls that take the same however little they compute. A decoder has much of the latter,
so one rate for all layers makes it several times too cheap beside the encoder. Here every part of a
network is timed on the host, its seconds are divided between the two kinds, and each kind is
carried over by its own ratio of rates. That is the roofline (Williams, Waterman, Patterson, CACM
52(4), 2009) with the efficiencies measured: they are the device's too, by assumption.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devices.profile import Profile

METHOD = "host timing by part, arithmetic and the rest scaled apart"
"""Stands in the manifest, so that figures of another method are not compared with these."""

TIME_FACTOR = 2.0
"""A modelled second or joule may be this many times too large or too small. Assumption: profiles
take 15 to 21 % of a processor's peak, and measured convolutions reach a tenth to four tenths."""

RATIO_FACTOR = 1.2
"""So far may ratios of modelled figures of two methods be off: the largest miss between hosts that
differ up to sixfold in arithmetic alone (`make bench ARGS=modelled`)."""


INTERVAL = f"×/÷ {TIME_FACTOR:g}, ratios of methods ×/÷ {RATIO_FACTOR:g}"
"""How screens and captions say it."""


@dataclass(frozen=True)
class HostTiming:
    """Hold what training steps took on the host that trains, plain fp32 on its training threads.

    Attributes:
        forward_s: Seconds of an image through a part of the network: a third of its training step.
        arithmetic: Share of them that scales with arithmetic, from 0 to 1, by part.
        flop_per_s: Rate at which the encoder's convolutions train.
        memory_bytes_per_s: Rate of copying memory, reads and writes counted.
    """

    forward_s: Mapping[str, float]
    arithmetic: Mapping[str, float]
    flop_per_s: float
    memory_bytes_per_s: float


@dataclass(frozen=True)
class TimeModel:
    """Carry a host's seconds over to a device.

    Attributes:
        flop_per_s: Sustained training throughput of the device.
        memory_bytes_per_s: Sustained memory bandwidth of the device. Calls of layers scale with it
            as well (assumption: nothing in a profile is nearer to the speed of plain code).
    """

    flop_per_s: float
    memory_bytes_per_s: float

    @classmethod
    def from_profile(cls, profile: Profile) -> TimeModel:
        """Take the figures of a profile."""
        return cls(profile.compute.flop_per_s, profile.compute.memory_bytes_per_s)

    def forward_s(self, host: HostTiming) -> dict[str, float]:
        """Return modelled seconds of an image through every part, forward."""
        slower = host.flop_per_s / self.flop_per_s
        slower_otherwise = host.memory_bytes_per_s / self.memory_bytes_per_s
        return {
            part: seconds * (share * slower + (1.0 - share) * slower_otherwise)
            for part, seconds in host.forward_s.items()
            for share in (host.arithmetic[part],)
        }
