"""Name the ways in which a server makes one model of its clients'; plain data, no torch needed.

A method asks for one in its `Job`, a run for all jobs; without one models are averaged (FedAvg).
Steps of a server are in `harness.federated.server_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.federated.server_rules import Adaptive, Additive, Momentum, ServerRule


@dataclass(frozen=True)
class Normalised:
    """Average changes per step (FedNova, Wang et al., NeurIPS 2020)."""


@dataclass(frozen=True)
class Controlled:
    """Correct clients' steps by control variates (SCAFFOLD, Karimireddy et al., ICML 2020)."""


@dataclass(frozen=True)
class AveragedMomentum:
    """Average clients' velocities too, and begin the next round with them (Yu et al., ICML 2019).

    Otherwise an optimizer begins at rest in every round: with a momentum of 0.9 the velocity of
    ten steps reaches two fifths of its strength.
    """


@dataclass(frozen=True)
class Orthogonal(AveragedMomentum):
    """Go along the mean change, all of its directions equally long, `stretch` times as far."""

    stretch: float = 2.0


Joining = ServerRule | Normalised | Controlled | AveragedMomentum

STEPS_BYTES = 8
"""Of the number of steps that a `Normalised` update tells of."""

SERVERS: Mapping[str, Joining | None] = {
    "fedavg": None,
    "fedavgm": Momentum(),
    "fedadam": Adaptive(),
    "fedyogi": Additive(),
    "fednova": Normalised(),
    "scaffold": Controlled(),
    "averaged-momentum": AveragedMomentum(),
    "muon": Orthogonal(),
}
"""What `--server` may be, by name, with usual parameters."""
