"""TAG, task affinity groupings (Fifty et al., NeurIPS 2021), in a federation."""

from __future__ import annotations

from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.measuring import Measuring
from harness.workloads.multitask.methods.overlapping import best_cover, tag_scores
from harness.workloads.multitask.methods.schedule import Schedule, Served, Setting, serving_itself


def tag(setting: Setting, *, splits: int, measuring: Measuring) -> Schedule:
    """Measure affinity over a whole merged training, then train each group from scratch.

    Groups may overlap; a task is served by the group in which it scores best. A group of all tasks
    is the merged model already trained and is not trained again.
    """
    merged = yield measuring.measured(Job(setting.tasks, setting.rounds))
    if merged.affinity is None:
        return [serving_itself(merged)]
    cover = best_cover(tag_scores(measuring.mean(merged.affinity)), splits)
    trained = {setting.tasks: merged}
    for group in cover.names(setting.tasks):
        if group not in trained:
            trained[group] = yield Job(group, setting.rounds)
    served = zip(cover.serving(setting.tasks), cover.names(setting.tasks), strict=True)
    return [Served(tasks, trained[group]) for tasks, group in served]
