"""Measure affinity round by round until the split it gives is sure; what `sure` asks for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np

from harness.workloads.multitask.affinity.matrix import Affinity, RoundAffinity
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods.measuring import Measuring
from harness.workloads.multitask.methods.schedule import Choice
from harness.workloads.multitask.methods.split_analysis import ClientMatrix, sureness

FIRST_EVERY = 8
"""Batches between look-aheads in the first round; half as many in each round that follows."""

LEAST_ROUNDS = 2
"""One round cannot say how much rounds differ."""


def measured_merge(
    job: Job, measuring: Measuring, choose: Choice
) -> Generator[Job, Outcome, Outcome]:
    """Train the merged job with affinity measured: as often as asked for, or until it is sure.

    With `measuring.sure` each round is a job of its own that goes on from the one before, to the
    same weights. Look-aheads come twice as often in each next round. As soon as so great a share of
    bootstrap samples gives the same groups, the rounds that are left measure nothing; if that never
    happens all merged rounds are measured.
    """
    if measuring.sure is None:
        return (yield measuring.measured(job))
    rounds: tuple[RoundAffinity, ...] = ()
    every = measuring.affinity_every or FIRST_EVERY
    most = min(measuring.affinity_rounds or job.rounds, job.rounds)
    start, done, sure = job.start, 0, False
    while done < most and not sure:
        part = _part(job, done, 1)
        asked = replace(measuring, affinity_every=max(1, every), affinity_rounds=1)
        outcome = yield asked.measured(replace(part, start=start))
        start, every, done = outcome.state, every // 2, done + 1
        if outcome.affinity is not None:
            rounds = (*rounds, *outcome.affinity.rounds)
        share = sure_share(rounds, choose) if done >= LEAST_ROUNDS else None
        sure = share is not None and share >= measuring.sure
    if done < job.rounds:
        outcome = yield replace(_part(job, done, job.rounds - done), start=start)
    affinity = Affinity(job.tasks, rounds) if rounds else None
    return replace(outcome, job=job, affinity=affinity)


def _part(job: Job, done: int, rounds: int) -> Job:
    """Return some rounds of a job; learning rates are the whole job's, only its end is judged."""
    return replace(
        job,
        rounds=rounds,
        first_round=job.first_round + done,
        horizon=job.horizon or job.last_round,
        passing=done + rounds < job.rounds,
    )


def sure_share(rounds: tuple[RoundAffinity, ...], choose: Choice) -> float | None:
    """Return how sure the groups are that rounds of measurements give.

    None where that cannot be said: fewer than two clients measured, or something that is no number.
    """
    measured = [ClientMatrix(r.round, c.client, c.mean) for r in rounds for c in r.clients]
    known = all(np.isfinite(m.matrix).all() for m in measured)
    if not known or len({m.client for m in measured}) < 2:
        return None
    return sureness(measured, choose)
