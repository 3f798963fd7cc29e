"""Define what a method is: a generator of jobs that ends with the models serving the tasks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from harness.workloads.multitask.job import Job, MultitaskEngine, Outcome
from harness.workloads.multitask.protocol import REPAIRED, Protocol

if TYPE_CHECKING:  # listing methods needs no numpy
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Served:
    """Say which of its tasks a trained model serves.

    Groups may overlap: a model then serves only those tasks that no better one serves. Several
    models serve the same task where each stands for a client of its own; their losses are averaged.
    """

    tasks: str
    outcome: Outcome


Schedule = Generator[Job, Outcome, Sequence[Served]]
"""Yields jobs, is sent their outcomes, returns who serves which tasks."""

Choice: TypeAlias = "Callable[[NDArray[np.float64]], Sequence[str]]"
"""Returns the groups of task letters that a mean affinity gives."""


@dataclass(frozen=True)
class Setting:
    """Tell a method what it is asked to train.

    `tasks` are the letters, `rounds` is what each task gets, `clients` the size of the federation;
    `seed` is the cell's, for methods that draw at random. `protocol` decides defaults.
    `client_tasks` are the letters that each client has labels for; empty if all have all.
    """

    tasks: str
    rounds: int
    clients: int = 1
    seed: int = 0
    protocol: Protocol = REPAIRED
    client_tasks: tuple[str, ...] = ()

    def owners(self, task: str) -> tuple[int, ...] | None:
        """Return the clients with labels for a task; None if all have them, without a choice."""
        if not self.client_tasks:
            return None
        return tuple(client for client, own in enumerate(self.client_tasks) if task in own)

    def kinds(self) -> dict[str, tuple[int, ...]]:
        """Return the clients of each kind by their tasks, in order of the first of each."""
        return {
            tasks: tuple(client for client, own in enumerate(self.client_tasks) if own == tasks)
            for tasks in dict.fromkeys(self.client_tasks)
        }


def serving_itself(outcome: Outcome) -> Served:
    """Say that a model serves every task it was trained on."""
    return Served(outcome.job.tasks, outcome)


def measured_throughout(schedule: Schedule) -> Schedule:
    """Measure affinity in every round of every job, as the published code does."""
    try:
        job = next(schedule)
        while True:
            outcome = yield replace(job, measure_affinity=True, affinity_rounds=None)
            job = schedule.send(outcome)
    except StopIteration as finished:
        served: Sequence[Served] = finished.value
        return served


def carry_out(schedule: Schedule, engine: MultitaskEngine) -> Sequence[Served]:
    """Run a schedule's jobs one after another and return who serves which tasks."""
    try:
        job = next(schedule)
        while True:
            job = schedule.send(engine.run(job))
    except StopIteration as finished:
        served: Sequence[Served] = finished.value
        return served
