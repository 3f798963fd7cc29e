"""Define what a method asks of an engine and what it gets back.

A method yields `Job`s and receives `Outcome`s; an engine turns one into the other. Neither knows
the other's kind: this module is all they share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from harness.federated.affinity import Affinity


@dataclass(frozen=True)
class Checkpoint:
    """Hold the weights and batch-norm statistics of one global model by state-dict name."""

    tensors: Mapping[str, Tensor]

    @property
    def bytes(self) -> int:
        """Return its size as it travels between server and client."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())

    def restricted(self, tasks: str) -> Checkpoint:
        """Return the encoder and the decoders of some of the tasks."""
        prefixes = ("encoder.", *(f"decoders.{task}." for task in tasks))
        return Checkpoint({k: v for k, v in self.tensors.items() if k.startswith(prefixes)})


@dataclass(frozen=True)
class Job:
    """Ask for one federated training of one model on one group of tasks.

    `rounds` rounds are run; they are numbered from `first_round`, which decides the clients and
    the learning rate of each. The learning rate falls over `horizon` rounds (default: to the end
    of this job), so that a job split off from another goes on where that one stopped.
    """

    tasks: str
    rounds: int
    start: Checkpoint | None = None
    first_round: int = 0
    horizon: int | None = None
    measure_affinity: bool = False

    @property
    def last_round(self) -> int:
        """Return the number of rounds finished once this job is done."""
        return self.first_round + self.rounds


@dataclass(frozen=True)
class Outcome:
    """Report what came of a job: final weights, last test loss per task, measured affinity."""

    job: Job
    weights: Checkpoint
    losses: Mapping[str, float]
    affinity: Affinity | None = None


class Engine(Protocol):
    """Run jobs. Methods cannot tell which engine runs theirs."""

    def run(self, job: Job) -> Outcome:
        """Train the job's model federatedly and return what came of it."""
        ...
