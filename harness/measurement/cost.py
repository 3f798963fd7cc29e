"""Turn segments of phases into measured and modelled time and energy, kept strictly apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from devices.energy import energy
from devices.power_model import PowerModel
from devices.stream import StreamSet
from devices.time_model import HostTiming, TimeModel
from harness.records.cost import SegmentCost
from harness.records.phases import Segment
from harness.records.work import Work


class WorkModel(Protocol):
    """Model another device's seconds."""

    def time_s(self, work: Work) -> float:
        """Return modelled seconds of counted work."""
        ...


@dataclass(frozen=True)
class DeviceModel:
    """Model another device's seconds from counted work and from what the parts took on the host."""

    time: TimeModel
    host: HostTiming

    @cached_property
    def forward_s(self) -> Mapping[str, float]:
        """Return the seconds of one image through each part, forward."""
        return self.time.forward_s(self.host)

    def time_s(self, work: Work) -> float:
        """Return modelled seconds of counted work."""
        passes = sum(n * self.forward_s[part] for part, n in work.forwards.items())
        return passes + work.bytes_moved / self.time.memory_bytes_per_s


@dataclass(frozen=True)
class GpuModel:
    """Model a GPU's seconds from counted work and what its kernels say of every part.

    Attributes:
        forward_s: Modelled seconds of one image through each part, a third of its training step.
        memory_bytes_per_s: Bandwidth by which averaging and other plain copies are modelled.
    """

    forward_s: Mapping[str, float]
    memory_bytes_per_s: float

    def time_s(self, work: Work) -> float:
        """Return modelled seconds of counted work."""
        passes = sum(n * self.forward_s[part] for part, n in work.forwards.items())
        return passes + work.bytes_moved / self.memory_bytes_per_s


@dataclass(frozen=True)
class Accountant:
    """Know how to cost segments on this host, or for another device if `device` is given."""

    power: PowerModel
    device: WorkModel | None

    def figures(self, segment: Segment, streams: StreamSet | None) -> SegmentCost:
        """Return the measured and the modelled cost of one segment."""
        reading = energy(streams, segment.start_s, segment.end_s) if streams else None
        if self.device is None:
            joules = self.power.energy_on_host_j(segment.time_s, segment.cpu_s)
            return SegmentCost(segment, reading, None, joules)
        seconds = self.device.time_s(segment.work)
        return SegmentCost(segment, reading, seconds, self.power.energy_elsewhere_j(seconds))
