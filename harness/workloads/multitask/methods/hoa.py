"""HOA, higher-order approximation (Standley et al., ICML 2020), in a federation."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from harness.workloads.multitask.job import Job, losses_to_choose_by
from harness.workloads.multitask.methods.overlapping import best_cover, hoa_scores
from harness.workloads.multitask.methods.schedule import Schedule, Served, Setting


def hoa(setting: Setting, *, splits: int) -> Schedule:
    """Train every task alone and every pair; predict larger groups from pairs; train the chosen.

    Groups may overlap and a task is served by the group with the least predicted loss. Losses of
    singles and pairs are validation losses, so that test images have no part in the choice.
    """
    tasks = setting.tasks
    small = [*tasks, *("".join(pair) for pair in combinations(tasks, 2))]
    trained = {}
    for group in small:
        trained[group] = yield Job(group, setting.rounds)
    losses = np.empty((len(tasks), len(tasks)))
    for group in small:
        for task, loss in losses_to_choose_by(trained[group]).items():
            partner = group.replace(task, "") or task
            losses[tasks.index(task), tasks.index(partner)] = loss
    cover = best_cover(hoa_scores(losses), splits)
    for group in cover.names(tasks):
        if group not in trained:
            trained[group] = yield Job(group, setting.rounds)
    served = zip(cover.serving(tasks), cover.names(tasks), strict=True)
    return [Served(letters, trained[group]) for letters, group in served]
