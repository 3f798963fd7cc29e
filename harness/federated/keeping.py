"""Let the engine hand over what a job has come to, and take it up again after a stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.federated.job import Checkpoint, FederatedJob, Traffic


@dataclass(frozen=True)
class JobState:
    """Hold what a job has come to after some rounds; with the weights that is all it depends on.

    A client's optimizer and random streams begin anew in every round, so there is nothing of
    theirs to keep.

    Attributes:
        rounds_done: counts as the job does, from its first round.
        weights: the global state.
        measured: what each measured round gave beside the training; the workload knows its form.
        judged: last values by set (such as `test_loss`) and unit.
        traffic: bytes sent so far.
    """

    rounds_done: int
    weights: Checkpoint
    measured: tuple[Any, ...] = ()
    judged: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)


class Keeper(Protocol):
    """Keep the states of the jobs that one engine runs, which come in the same order every time."""

    def recall(self, job: FederatedJob) -> JobState | None:
        """Return what is kept of the next job; None if it is to begin."""
        ...

    def announce(self, job: FederatedJob) -> int:
        """Write durably that a job is about to be carried out, which is not to be forgotten.

        Returns how often that was written of it before: more than 0 if it was broken off.
        """
        ...

    def keep(self, job: FederatedJob, state: JobState) -> None:
        """Keep the state of the job after a round. An error raised here stops the training."""
        ...


class ForgetfulKeeper:
    """Keep nothing, so that every job begins at its first round."""

    def recall(self, job: FederatedJob) -> JobState | None:  # noqa: ARG002
        """Return nothing."""
        return None

    def announce(self, job: FederatedJob) -> int:  # noqa: ARG002
        """Write nothing."""
        return 0

    def keep(self, job: FederatedJob, state: JobState) -> None:
        """Forget the state."""
