"""Define what a workload with rounds gives to the engine that runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from harness.federated.job import Checkpoint
from harness.federated.keeping import JobState
from harness.records.work import Work

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from harness.federated.observer import Observer
    from harness.federated.trainers import RoundRequest, Update


@dataclass(frozen=True)
class StateJudgement:
    """Hold what a global state was judged by.

    Attributes:
        judged: values by set and unit that stay with the job's state.
        reported: all values for metrics.csv, as name, unit and value.
    """

    judged: Mapping[str, Mapping[str, float]]
    reported: Sequence[tuple[str, str, float]] = field(default_factory=list)


class Aggregator(Protocol):
    """Make one global state of the updates of a round."""

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Take in an update and return the work of that."""
        ...

    def result(self) -> Checkpoint:
        """Return the new global state.

        Work of the server that is a phase of its own is marked as one: a phase opened here
        interrupts that of aggregation.
        """
        ...


class JobWork(Protocol):
    """Carry out one job: a model to train in, data, and what its rounds are made of."""

    def begin(self) -> Checkpoint:
        """Return the state before the first round."""
        ...

    def request(self, round_index: int, weights: Checkpoint) -> RoundRequest:
        """Return who trains in a round, and how, from the state that it begins with."""
        ...

    def weight(self, client: int) -> float:
        """Return how much a client's update counts."""
        ...

    def train(
        self, weights: Checkpoint, request: RoundRequest, client: int, order: np.random.Generator
    ) -> Update:
        """Let one client train, in this process, from what it was sent."""
        ...

    def sent(self, weights: Checkpoint, client: int) -> Checkpoint:
        """Return what of the state a client trains from: all of it, or its own part."""
        ...

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the names, shapes and types of a client's update."""
        ...

    def download(self, weights: Checkpoint, client: int) -> int:
        """Return the bytes that a client gets in a round."""
        ...

    def upload(self, update: Update) -> int:
        """Return the bytes of an update on its way to the server."""
        ...

    def aggregator(self, expected_weight: float, weights: Checkpoint) -> Aggregator:
        """Return what adds up a round whose clients weigh that much together.

        `weights` is the state before, for what does not change in the round.
        """
        ...

    def measured(self, round_index: int, found: Sequence[Any]) -> tuple[Any, ...]:
        """Return what the clients' own measurements of a round come to, if there are any.

        Each says in `round` of which round it is.
        """
        ...

    def is_judged_after(self, rounds_done: int) -> bool:
        """Say whether the state is judged after so many rounds; at the end it always is."""
        ...

    def judge(self, weights: Checkpoint, *, final: bool) -> StateJudgement:
        """Judge a global state by data that nobody trains on."""
        ...

    def outcome(self, state: JobState) -> Any:  # noqa: ANN401 - methods and workload agree on it
        """Return what the method is told of the finished job."""
        ...


class FederatedTask(Protocol):
    """Open jobs. One exists per cell."""

    def open(self, job: Any, seed: int, observer: Observer) -> JobWork:  # noqa: ANN401
        """Return the work of a job."""
        ...
