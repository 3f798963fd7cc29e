"""Say what a method asks for: one federated fine-tuning; and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.federated.job import Checkpoint, Traffic

UNIT = "mixture"
"""What is trained and judged: answers to the clients' mixture of instructions."""


@dataclass(frozen=True)
class FineTuning:
    """Ask for one federated fine-tuning by a method."""

    method: str
    last_round: int
    learning_rate: float
    parameters: Mapping[str, float] = field(default_factory=dict)
    first_round: int = 0

    @property
    def name(self) -> str:
        """Return what files and marks call it."""
        return "adapters" if self.method != "full" else "weights"

    @property
    def units(self) -> tuple[str, ...]:
        """Return what is trained."""
        return (UNIT,)


@dataclass(frozen=True)
class Tuned:
    """Hold what came of it."""

    job: FineTuning
    weights: Checkpoint
    judged: Mapping[str, Mapping[str, float]]
    traffic: Traffic
