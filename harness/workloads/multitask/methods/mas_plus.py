"""MAS-plus, our own variant of MAS: equal pull on the encoder, better descent, splits that pay."""

from __future__ import annotations

from dataclasses import replace

from harness.workloads.multitask.methods.continuation import Continuation, train_groups
from harness.workloads.multitask.methods.how_many import HowMany
from harness.workloads.multitask.methods.measuring import Measuring
from harness.workloads.multitask.methods.partition_score import most_per_cost
from harness.workloads.multitask.methods.pull import Pull
from harness.workloads.multitask.methods.schedule import Choice, Schedule, Setting, serving_itself
from harness.workloads.multitask.methods.split import best_split
from harness.workloads.multitask.methods.until_sure import measured_merge
from harness.workloads.multitask.training.descent import Descent


def mas_plus(
    setting: Setting,
    *,
    effort: float,
    pull: Pull,
    how_many: HowMany,
    go_on: Continuation,
    descent: Descent,
    measuring: Measuring,
) -> Schedule:
    """Merge, measure affinity cheaply for a few rounds, split only as far as it pays, go on.

    `effort` is the share of the rounds that is trained, `pull` how hard tasks pull at the encoder,
    `descent` how steps are taken.
    """
    setting = replace(setting, rounds=max(1, round(effort * setting.rounds)))
    go_on = replace(go_on, merge_rounds=min(go_on.merge_rounds, setting.rounds))
    go_on = go_on.training(pull.rule, descent)
    choose = choice(setting, how_many=how_many)
    merged = yield from measured_merge(go_on.merged_job(setting), measuring, choose)
    if merged.affinity is None:
        return [serving_itself(merged)]
    groups = choose(measuring.mean(merged.affinity))
    return (yield from train_groups(groups, setting, go_on, merged))


def choice(setting: Setting, *, how_many: HowMany, **_others: object) -> Choice:
    """Return what says which groups the merged affinity gives."""
    tasks, most = setting.tasks, how_many.splits
    if how_many.pays:
        return lambda affinity: most_per_cost(affinity, tasks, most, how_many.decoder_cost).groups
    return lambda affinity: best_split(affinity, tasks, most, exact=True).groups
