"""MAS, merge and split (Zhuang, Wen, Lyu, Zhang, ICCV 2023)."""

from __future__ import annotations

from harness.federated.job import Job
from harness.methods.schedule import Schedule, Setting
from harness.methods.split import best_split


def mas(setting: Setting, *, splits: int, merge_rounds: int, exact: bool) -> Schedule:
    """Merge all tasks for some rounds, split them by affinity, train each group to the end.

    Every group starts from the merged encoder and its own tasks' merged decoders; clients and
    learning rate go on as if nothing had been split. With `exact` there are as many groups as
    asked for; otherwise at most as many, as in the published code.
    """
    merged = yield Job(setting.tasks, merge_rounds, horizon=setting.rounds, measure_affinity=True)
    remaining = setting.rounds - merge_rounds
    if remaining == 0 or merged.affinity is None:
        return [merged]
    split = best_split(merged.affinity.mean, setting.tasks, splits, exact=exact)
    outcomes = []
    for group in split.groups:
        start = merged.weights.restricted(group)
        outcome = yield Job(group, remaining, start, first_round=merge_rounds)
        outcomes.append(outcome)
    return outcomes
