"""Split one group at a time, each by affinity measured inside it (MAS, hierarchical splitting)."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from harness.workloads.multitask.affinity.matrix import Matrix
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods.continuation import Continuation
from harness.workloads.multitask.methods.measuring import Measuring
from harness.workloads.multitask.methods.schedule import Schedule, Setting, serving_itself
from harness.workloads.multitask.methods.split import best_split


def split_again(
    setting: Setting, splits: int, go_on: Continuation, measuring: Measuring, merged: Outcome
) -> Schedule:
    """Split in two, train on with affinity, split the worst group, until there are `splits`.

    Between two splits every group trains as many rounds as were merged, or an equal part of what is
    left if that is less. The worst group is the one whose tasks help each other least on average.
    If rounds run out, or only single tasks are left, there are fewer groups.
    """
    left = setting.rounds - merged.job.last_round
    step = max(1, min(go_on.merge_rounds, left // max(1, splits - 1)))
    models: Sequence[Outcome] = [merged]
    while left > 0:
        groups = _next_groups(models, measuring, split=len(models) < splits)
        possible = any(len(group) > 1 for group, _ in groups)
        again = possible and len(groups) < splits and left > step
        rounds = step if again else left
        models = yield from _train_on(groups, rounds, setting, go_on, measuring if again else None)
        left -= rounds
    return [serving_itself(model) for model in models]


def _train_on(
    groups: Sequence[tuple[str, Outcome]],
    rounds: int,
    setting: Setting,
    go_on: Continuation,
    measuring: Measuring | None,
) -> Generator[Job, Outcome, list[Outcome]]:
    """Train each group from the model it was part of; measure in those that can be split."""
    found = []
    for group, before in groups:
        job = go_on.stage_job(group, rounds, setting, before)
        if measuring is not None and len(group) > 1:
            job = measuring.measured(job)
        found.append((yield job))
    return found


def _next_groups(
    models: Sequence[Outcome], measuring: Measuring, *, split: bool
) -> list[tuple[str, Outcome]]:
    """Return the groups that train next and the model each was part of; the worst is cut in two."""
    matrices = {
        model.job.tasks: measuring.mean(model.affinity)
        for model in models
        if model.affinity is not None and len(model.job.tasks) > 1
    }
    worst = min(matrices, key=lambda tasks: _cohesion(matrices[tasks]), default="")
    groups: list[tuple[str, Outcome]] = []
    for model in models:
        parts: tuple[str, ...] = (model.job.tasks,)
        if split and model.job.tasks == worst:
            parts = best_split(matrices[worst], worst, 2, exact=True).groups
        groups += [(part, model) for part in parts]
    return groups


def _cohesion(affinity: Matrix) -> float:
    """Return the mean effect of a task on another."""
    return float(affinity[~np.eye(len(affinity), dtype=bool)].mean())
