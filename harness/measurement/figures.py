"""Put together what a stretch of time cost: seconds, measured joules, and modelled joules apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devices.power_model import PowerModel
from harness.measurement.idle import IdlePower, net_energy
from harness.measurement.meters import Joules
from harness.measurement.spans import Span, Window, cpu_s, windows


@dataclass(frozen=True)
class PhaseCost:
    """Hold what one phase took over all its entries.

    Attributes:
        name: the phase.
        entries: how often it was entered.
        time_s: seconds, counted once where threads overlap.
        cpu_s: processor seconds of the processes that marked it; None if not known.
        energy_j: measured joules of the host in that time; None without a valid figure.
        error_j: bound on their error.
        model_j: modelled joules, never a measurement; None without a power model.
        reason: why there are no measured joules.
        flags: what spoils or limits them.
        samples: samples the program said it worked on; None if it did not say.
        net_j: joules above idle; None without idle power.
        net_error_j: bound on their error; None without idle power before and after.
    """

    name: str
    entries: int
    time_s: float
    cpu_s: float | None
    energy_j: float | None
    error_j: float | None
    model_j: float | None
    reason: str
    flags: tuple[str, ...]
    samples: float | None = None
    net_j: float | None = None
    net_error_j: float | None = None

    @property
    def energy_per_sample_j(self) -> float | None:
        """Return measured joules of a sample; None without joules or samples."""
        if self.energy_j is None or not self.samples:
            return None
        return self.energy_j / self.samples

    @property
    def power_w(self) -> float | None:
        """Return the mean measured power; None without joules."""
        return self.energy_j / self.time_s if self.energy_j is not None and self.time_s else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and tables, with units in the names."""
        return {
            "phase": self.name,
            "entries": self.entries,
            "time_s": self.time_s,
            "cpu_s": self.cpu_s,
            "energy_j": self.energy_j,
            "energy_error_j": self.error_j,
            "energy_net_j": self.net_j,
            "energy_net_error_j": self.net_error_j,
            "energy_model_j": self.model_j,
            "energy_reason": self.reason,
            "flags": "+".join(self.flags),
            "samples": self.samples,
            "energy_per_sample_j": self.energy_per_sample_j,
        }


@dataclass(frozen=True)
class Costing:
    """Cost spans by the meters, and by the power model of the host if there is one."""

    joules: Callable[[Sequence[Window]], Joules]
    model: PowerModel | None
    idle: IdlePower = field(default_factory=IdlePower)

    def phase(self, name: str, spans: Sequence[Span]) -> PhaseCost:
        """Return the cost of the spans of one phase."""
        covered = windows(spans)
        joules = self.joules(covered)
        time_s = math.fsum(end_s - start_s for start_s, end_s in covered)
        spent_s = cpu_s(spans)
        told = [span.samples for span in spans if span.samples is not None]
        net = net_energy(joules.energy_j, joules.error_j, {1: time_s}, {1: self.idle})
        flags = (*joules.flags, *(("cut",) if any(span.cut for span in spans) else ()))
        return PhaseCost(
            name,
            len(spans),
            time_s,
            spent_s,
            joules.energy_j,
            joules.error_j,
            self._modelled(time_s, spent_s),
            joules.reason,
            flags,
            math.fsum(told) if told else None,
            *net,
        )

    def phases(self, spans: Iterable[Span]) -> Mapping[str, PhaseCost]:
        """Return the cost of every phase by its name, in the order of their first entries."""
        found: dict[str, list[Span]] = {}
        for span in sorted(spans, key=lambda s: s.start.time_s):
            found.setdefault(span.name, []).append(span)
        return {name: self.phase(name, own) for name, own in found.items()}

    def _modelled(self, time_s: float, spent_s: float | None) -> float | None:
        if self.model is None or spent_s is None:
            return None
        return self.model.energy_on_host_j(time_s, spent_s)
