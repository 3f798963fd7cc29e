"""Define what a method is: a generator of jobs that ends with the models serving the tasks."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from harness.federated.job import Engine, Job, Outcome

Schedule = Generator[Job, Outcome, Sequence[Outcome]]
"""Yields jobs, is sent their outcomes, returns the outcomes whose models serve the tasks."""


@dataclass(frozen=True)
class Setting:
    """Tell a method what it is asked to train: the task letters and the rounds each task gets."""

    tasks: str
    rounds: int


def carry_out(schedule: Schedule, engine: Engine) -> Sequence[Outcome]:
    """Run a schedule's jobs one after another and return the outcomes that serve the tasks."""
    try:
        job = next(schedule)
        while True:
            job = schedule.send(engine.run(job))
    except StopIteration as finished:
        served: Sequence[Outcome] = finished.value
        return served
