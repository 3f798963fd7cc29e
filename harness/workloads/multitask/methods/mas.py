"""MAS, merge and split (Zhuang, Wen, Lyu, Zhang, ICCV 2023)."""

from __future__ import annotations

from harness.workloads.multitask.methods.continuation import Continuation, train_groups
from harness.workloads.multitask.methods.hierarchical import split_again
from harness.workloads.multitask.methods.measuring import Measuring
from harness.workloads.multitask.methods.schedule import Choice, Schedule, Setting, serving_itself
from harness.workloads.multitask.methods.split import best_split
from harness.workloads.multitask.methods.until_sure import measured_merge


def mas(
    setting: Setting,
    *,
    splits: int,
    exact: bool,
    hierarchical: bool,
    go_on: Continuation,
    measuring: Measuring,
) -> Schedule:
    """Merge all tasks for some rounds, split them by affinity, train each group to the end.

    With the defaults every group starts from the merged encoder and its own tasks' merged decoders;
    clients and learning rate go on as if nothing had been split. With `exact` there are as many
    groups as asked for; otherwise at most as many, as in the published code. With `hierarchical`
    groups are split one at a time, by affinity measured in the group that is split.
    """
    choose = choice(setting, splits=splits, exact=exact, hierarchical=hierarchical)
    merged = yield from measured_merge(go_on.merged_job(setting), measuring, choose)
    if merged.affinity is None:
        return [serving_itself(merged)]
    if hierarchical:
        return (yield from split_again(setting, splits, go_on, measuring, merged))
    groups = choose(measuring.mean(merged.affinity))
    return (yield from train_groups(groups, setting, go_on, merged))


def choice(
    setting: Setting, *, splits: int, exact: bool, hierarchical: bool = False, **_others: object
) -> Choice:
    """Return what says which groups the merged affinity gives; if `hierarchical` the first two."""
    most, just = (min(2, splits), True) if hierarchical else (splits, exact)
    return lambda affinity: best_split(affinity, setting.tasks, most, exact=just).groups
