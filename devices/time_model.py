"""Model how long another device would take, from what this host took.

What a layer costs is bound by arithmetic (dense convolutions) or by everything else: memory
traffic, and calls that take the same however little they compute. A decoder has much of the latter,
so one rate for all layers makes it several times too cheap beside the encoder. Here every part of a
network is timed on the host, its seconds are divided between the two kinds, and each kind is
carried over by its own ratio of rates. That is the roofline (Williams, Waterman, Patterson, CACM
52(4), 2009) with the efficiencies measured: they are the device's too, by assumption.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from devices.accelerator import GPU
from devices.profile import Profile
from devices.profile_figures import GpuCompute

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


GPU_METHOD = "kernels of a real step, each by arithmetic, memory or its launch, plain fp32"

GPU_TIME_FACTOR = 3.0
"""A modelled second or joule of a GPU may be this many times too large or too small: published
speeds of known networks on known boards lie within it (docs/models-of-devices.md)."""

GPU_RATIO_FACTOR = 2.0
"""So far may ratios of modelled figures of two methods be off on a GPU: published speeds of two
networks of one family, on one board from one source, differ from modelled ones by up to 1.7
(docs/models-of-devices.md); two methods train networks of one family."""

GPU_INTERVAL = f"×/÷ {GPU_TIME_FACTOR:g}, ratios of methods ×/÷ {GPU_RATIO_FACTOR:g}"


class KernelWork(Protocol):
    """Be kernels that have the same to do: FLOP and bytes moved of each, and their number."""

    @property
    def flop(self) -> float: ...  # noqa: D102
    @property
    def moved_bytes(self) -> float: ...  # noqa: D102
    @property
    def count(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class GpuTimeModel:
    """Model what a GPU takes for kernels that are issued one after the other.

    The roofline (Williams, Waterman, Patterson, CACM 52(4), 2009) with a third bound: no kernel is
    over before the processor has issued the next one.

    Attributes:
        flop_per_s: Sustained fp32 throughput.
        memory_bytes_per_s: Sustained bandwidth, reads and writes counted.
        launch_s: Seconds from one issued operation to the next.
    """

    flop_per_s: float
    memory_bytes_per_s: float
    launch_s: float

    @classmethod
    def from_figures(cls, figures: GpuCompute) -> GpuTimeModel:
        """Take the figures of a profile."""
        return cls(figures.flop_per_s, figures.memory_bytes_per_s, figures.launch_s)

    def time_s(self, kernels: Iterable[KernelWork]) -> float:
        """Return the seconds of kernels."""
        return sum(one.count * self._kernel_s(one.flop, one.moved_bytes) for one in kernels)

    def _kernel_s(self, flop: float, moved_bytes: float) -> float:
        return max(flop / self.flop_per_s, moved_bytes / self.memory_bytes_per_s, self.launch_s)


def interval_of(kind: str) -> str:
    """Return in words how far modelled figures of a processor or a GPU may be off."""
    return GPU_INTERVAL if kind == GPU else INTERVAL
