"""TAG, task affinity groupings (Fifty et al., NeurIPS 2021), in a federation."""

from __future__ import annotations

from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.measuring import Measuring
from harness.workloads.multitask.methods.overlapping import best_cover, tag_scores
from harness.workloads.multitask.methods.schedule import (
    Choice,
    Schedule,
    Served,
    Setting,
    serving_itself,
)
from harness.workloads.multitask.methods.until_sure import measured_merge


def tag(setting: Setting, *, splits: int, measuring: Measuring) -> Schedule:
    """Measure affinity over a whole merged training, then train each group from scratch.

    Groups may overlap; a task is served by the group in which it scores best. A group of all tasks
    is the merged model already trained and is not trained again.
    """
    choose = choice(setting, splits=splits)
    merged = yield from measured_merge(Job(setting.tasks, setting.rounds), measuring, choose)
    if merged.affinity is None:
        return [serving_itself(merged)]
    cover = best_cover(tag_scores(measuring.mean(merged.affinity)), splits)
    trained = {setting.tasks: merged}
    for group in cover.names(setting.tasks):
        if group not in trained:
            trained[group] = yield Job(group, setting.rounds)
    served = zip(cover.serving(setting.tasks), cover.names(setting.tasks), strict=True)
    return [Served(tasks, trained[group]) for tasks, group in served]


def choice(setting: Setting, *, splits: int, **_others: object) -> Choice:
    """Return what says which groups, overlapping or not, an affinity gives."""
    return lambda affinity: best_cover(tag_scores(affinity), splits).names(setting.tasks)
