"""MAS, merge and split (Zhuang, Wen, Lyu, Zhang, ICCV 2023)."""

from __future__ import annotations

from dataclasses import replace

from harness.methods.continuation import Continuation, train_groups
from harness.methods.schedule import Schedule, Setting, serving_itself
from harness.methods.split import best_split


def mas(
    setting: Setting,
    *,
    splits: int,
    merge_rounds: int,
    exact: bool,
    init: str,
    lr: str,
    affinity_rounds: int | None,
) -> Schedule:
    """Merge all tasks for some rounds, split them by affinity, train each group to the end.

    With the defaults every group starts from the merged encoder and its own tasks' merged decoders;
    clients and learning rate go on as if nothing had been split. With `exact` there are as many
    groups as asked for; otherwise at most as many, as in the published code.
    """
    go_on = Continuation(merge_rounds, init, lr)
    job = go_on.merged_job(setting)
    merged = yield replace(job, measure_affinity=True, affinity_rounds=affinity_rounds)
    if merged.affinity is None:
        return [serving_itself(merged)]
    split = best_split(merged.affinity.mean, setting.tasks, splits, exact=exact)
    return (yield from train_groups(split.groups, setting, go_on, merged))
