"""MAS-plus, our own variant of MAS: equal pull on the encoder, better descent, splits that pay."""

from __future__ import annotations

from harness.workloads.multitask.affinity.matrix import Matrix
from harness.workloads.multitask.methods.continuation import Continuation, train_groups
from harness.workloads.multitask.methods.how_many import HowMany
from harness.workloads.multitask.methods.measuring import Measuring
from harness.workloads.multitask.methods.partition_score import most_per_cost
from harness.workloads.multitask.methods.schedule import Schedule, Setting, serving_itself
from harness.workloads.multitask.methods.split import best_split
from harness.workloads.multitask.training.descent import Descent
from harness.workloads.multitask.training.local_rule import Balanced


def mas_plus(
    setting: Setting,
    *,
    balance: bool,
    how_many: HowMany,
    go_on: Continuation,
    descent: Descent,
    measuring: Measuring,
) -> Schedule:
    """Merge, measure affinity cheaply for a few rounds, split only as far as it pays, go on.

    With `balance` every task pulls equally hard at the encoder; `descent` is how steps are taken.
    """
    go_on = go_on.training(Balanced() if balance else None, descent)
    merged = yield measuring.measured(go_on.merged_job(setting))
    if merged.affinity is None:
        return [serving_itself(merged)]
    groups = _groups(measuring.mean(merged.affinity), setting.tasks, how_many)
    return (yield from train_groups(groups, setting, go_on, merged))


def _groups(affinity: Matrix, tasks: str, how_many: HowMany) -> tuple[str, ...]:
    most = how_many.splits
    if how_many.pays:
        return most_per_cost(affinity, tasks, most, how_many.decoder_cost).groups
    return best_split(affinity, tasks, most, exact=True).groups
