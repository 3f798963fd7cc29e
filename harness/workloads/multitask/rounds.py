"""Say who trains in a round, on how many images and at which learning rate.

Everything here follows from the job, the seed and the settings alone, so that engines train by it
and a cost can be foretold from it; no torch is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.federated.random_streams import random_stream
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.protocol import REPAIRED, Protocol
from harness.workloads.multitask.training.descent import Descent


def choose_clients(seed: int, round_index: int, clients: int, per_round: int) -> list[int]:
    """Draw K of N clients for a round without replacement, alike for every method and job."""
    drawn = random_stream(seed, "clients", round_index).choice(clients, per_round, replace=False)
    return [int(i) for i in drawn]


def published_clients(round_number: int, clients: int, per_round: int) -> list[int]:
    """Draw K of N clients as the published code does: from the round's number, whatever the seed.

    It seeds numpy's global generator with the round; the same numbers come from one of our own.
    """
    legacy = np.random.RandomState(round_number)
    return [int(i) for i in legacy.choice(clients, per_round, replace=False)]


@dataclass(frozen=True)
class Draw:
    """Fix how clients are drawn: from how many, how many a round, by which seed and protocol."""

    clients: int
    per_round: int
    seed: int
    protocol: Protocol = REPAIRED

    def chosen(self, job: Job, round_index: int) -> list[int]:
        """Return the clients that train in a round of a job, in order."""
        population = range(self.clients) if job.clients is None else job.clients
        size, per_round = len(population), job.per_round(self.per_round)
        if self.protocol.clients_by_round_number:
            # a job that starts over begins with round 0, and so with the same clients
            drawn = published_clients(round_index - job.rate_start, size, per_round)
        else:
            drawn = choose_clients(self.seed, round_index, size, per_round)
        return [population[i] for i in drawn]


def job_rate(base: float, job: Job, round_index: int, descent: Descent) -> float:
    """Return the learning rate of a round of a job, which may bring a descent of its own."""
    horizon = job.horizon or job.last_round
    own = job.descent or descent
    return own.rate(base, round_index - job.rate_start, horizon - job.rate_start)


def epoch_batches(images: int, batch_size: int, *, rest: bool) -> list[int]:
    """Return the sizes of the batches of one local epoch.

    A client smaller than a batch is one batch. What fills no batch is left out, or is the last
    batch if the `rest` is asked for.
    """
    size = min(batch_size, images)
    left = images % size
    return [size] * (images // size) + ([left] if rest and left else [])
