"""Random split: what a split is worth that no affinity has chosen."""

from __future__ import annotations

from harness.federated.random_streams import random_stream
from harness.workloads.multitask.methods.continuation import Continuation, merge, train_groups
from harness.workloads.multitask.methods.schedule import Schedule, Setting
from harness.workloads.multitask.methods.split import groups_of, partitions


def random_split(setting: Setting, *, splits: int, merge_rounds: int) -> Schedule:
    """Merge like MAS but measure nothing; then draw one of all partitions into `splits` groups.

    Every partition is equally likely. The draw depends on the cell's seed alone.
    """
    every = [tuple(masks) for masks in partitions(len(setting.tasks), splits, exact=True)]
    drawn = every[int(random_stream(setting.seed, "random split").integers(len(every)))]
    go_on = Continuation(merge_rounds)
    merged = yield from merge(setting, go_on)
    groups = groups_of(drawn, setting.tasks)
    return (yield from train_groups(groups, setting, go_on, merged))
