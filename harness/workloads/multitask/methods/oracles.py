"""Best and worst split: exhaustive bounds on what choosing a split can do.

They train every group before they choose by validation loss, and are charged for all of it.
Neither is a method to use: but for the gap between validation and test, both bound the others.
"""

from __future__ import annotations

from harness.workloads.multitask.job import losses_to_choose_by
from harness.workloads.multitask.methods.continuation import Continuation, merge
from harness.workloads.multitask.methods.schedule import Schedule, Setting, serving_itself
from harness.workloads.multitask.methods.split import groups_of, partitions


def best_partition(setting: Setting, *, splits: int, merge_rounds: int) -> Schedule:
    """Train every group and return the partition with the least sum of validation losses."""
    return _extreme(setting, splits, merge_rounds, sign=1.0)


def worst_partition(setting: Setting, *, splits: int, merge_rounds: int) -> Schedule:
    """Train every group and return the partition with the greatest sum of validation losses."""
    return _extreme(setting, splits, merge_rounds, sign=-1.0)


def _extreme(setting: Setting, splits: int, merge_rounds: int, *, sign: float) -> Schedule:
    """Train each group of any partition into exactly `splits` groups once, then choose."""
    go_on = Continuation(merge_rounds)
    merged = yield from merge(setting, go_on)
    if merged is not None and merge_rounds == setting.rounds:
        return [serving_itself(merged)]
    every = [
        groups_of(masks, setting.tasks)
        for masks in partitions(len(setting.tasks), splits, exact=True)
    ]
    trained = {}
    for group in sorted({group for groups in every for group in groups}, key=_size_then_name):
        trained[group] = yield go_on.group_job(group, setting, merged)

    def total(groups: tuple[str, ...]) -> float:
        return sum(sum(losses_to_choose_by(trained[group]).values()) for group in groups)

    chosen = min(every, key=lambda groups: sign * total(groups))
    return [serving_itself(trained[group]) for group in chosen]


def _size_then_name(group: str) -> tuple[int, str]:
    return len(group), group
