"""Train groups of tasks side by side, and let the server exchange between rounds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from harness.federated.job import Checkpoint
from harness.workloads.multitask.exchange.server import Exchange, GroupServer, Model
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods.schedule import Schedule, serving_itself

if TYPE_CHECKING:
    from torch import Tensor


def in_step(jobs: Sequence[Job], exchange: Exchange) -> Schedule:
    """Carry jobs of the same rounds out a round at a time, with an exchange after each.

    Every round trains a group as its own job would; clients do the same work. A model is judged in
    the end alone, as the last exchange left it. What is remembered beside a group's model, such as
    velocities, stays with the group.
    """
    starts: list[Callable[[], Model]] = []
    for job in jobs:
        start = yield from _start(job)
        starts.append(start)
    server = GroupServer(exchange, starts)
    memories: list[Mapping[str, Tensor]] = [{} for _ in jobs]

    def begun(group: int) -> Checkpoint:
        return Checkpoint({**server.model(group).tensors, **memories[group]})

    for index in range(jobs[0].first_round, jobs[0].last_round):
        trained = []
        for group, job in enumerate(jobs):
            outcome = yield _part(job, index, 1, partial(begun, group))
            trained.append(outcome.weights.tensors)
            memories[group] = outcome.memory
        server.trained(trained)
    served = []
    for group, job in enumerate(jobs):
        last = _part(job, job.last_round, 0, partial(server.model, group))
        served.append(serving_itself((yield replace(last, passing=False))))
    return served


def _start(job: Job) -> Generator[Job, Outcome, Callable[[], Model]]:
    """Return what says which weights a job begins with; those of the seed are asked for."""
    if job.start is None:
        begun = yield replace(job, rounds=0, passing=True)
        return lambda: begun.weights.tensors
    start = job.start
    return (lambda: start().tensors) if callable(start) else (lambda: start.tensors)


def _part(job: Job, index: int, rounds: int, start: Callable[[], Checkpoint]) -> Job:
    """Return rounds of a job from a round on; learning rates are the job's own."""
    horizon = job.horizon or job.last_round
    return replace(
        job, rounds=rounds, first_round=index, start=start, horizon=horizon, passing=True
    )
