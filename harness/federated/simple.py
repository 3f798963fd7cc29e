"""Answer as most jobs do: all clients train in every round, and the mean of their models travels.

`SimpleRounds` is a federated task and the work of its jobs in one; a workload adds how a client
trains and how a state is judged, and replaces whatever is different with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from harness.federated.job import Checkpoint
from harness.federated.observer import Observer, SilentObserver
from harness.federated.trainers import RoundRequest, Update

if TYPE_CHECKING:
    from torch import Tensor

    from harness.federated.keeping import JobState
    from harness.federated.task import Aggregator

Rounds = TypeVar("Rounds", bound="SimpleRounds")


@dataclass(frozen=True)
class SimpleJob:
    """Ask for one training; `settings` are the numbers that clients train by."""

    name: str
    units: tuple[str, ...]
    last_round: int
    settings: Mapping[str, float] = field(default_factory=dict)
    first_round: int = 0


@dataclass(frozen=True)
class SimpleRounds:
    """Implement `FederatedTask` and, once opened, `JobWork` and what a device of a fleet trains by.

    Left to a workload: `begin`, `weight`, `train` and `judge`. `config` has `clients` at least;
    the job is None on a device, which knows requests alone.
    """

    config: Any
    job: Any = None
    seed: int = 0
    observer: Observer = field(default_factory=SilentObserver)

    def open(self: Rounds, job: Any, seed: int, observer: Observer) -> Rounds:  # noqa: ANN401
        """Return the work of a job."""
        return replace(self, job=job, seed=seed, observer=observer)

    def begin(self) -> Checkpoint:
        """Return the state before the first round; a workload says which."""
        raise NotImplementedError

    def request(self, round_index: int, weights: Checkpoint) -> RoundRequest:  # noqa: ARG002
        """Ask every client to train by the job's settings."""
        return RoundRequest(
            self.job.name, self.job.units, round_index, range(self.config.clients), self.seed,
            self.job.settings,
        )  # fmt: skip

    def sent(self, weights: Checkpoint, client: int) -> Checkpoint:  # noqa: ARG002 - all are alike
        """Return the whole state."""
        return weights

    def received(self, client: int) -> Mapping[str, Tensor]:  # noqa: ARG002 - all are alike
        """Return tensors like those of the state that a client gets: of the one it begins with."""
        return self.begin().tensors

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors like those of an update: a client sends back what it got."""
        return self.received(client)

    def download(self, weights: Checkpoint, client: int) -> int:  # noqa: ARG002 - all are alike
        """Return the bytes of the state."""
        return weights.bytes

    def upload(self, update: Update) -> int:
        """Return the bytes of the update."""
        return Checkpoint(update.tensors).bytes

    def aggregator(self, expected_weight: float, weights: Checkpoint) -> Aggregator:  # noqa: ARG002
        """Return the average by the clients' weights."""
        from harness.federated.server import FederatedAverage  # noqa: PLC0415 - imports torch

        return FederatedAverage(expected_weight)

    def measured(self, round_index: int, found: Sequence[Any]) -> tuple[Any, ...]:  # noqa: ARG002
        """Return nothing: clients measure nothing beside their training."""
        return ()

    def is_judged_after(self, rounds_done: int) -> bool:  # noqa: ARG002 - after each
        """Judge every state."""
        return True

    def outcome(self, state: JobState) -> Any:  # noqa: ANN401 - another may return what it likes
        """Return the last state, with what it was judged by and what travelled."""
        return state
