"""All-in-one training with tasks weighed by one of the rules of `models.multitask.weighting`."""

from __future__ import annotations

import math

from harness.federated.random_streams import random_stream
from harness.workloads.multitask.job import Job, losses_to_choose_by
from harness.workloads.multitask.methods.all_in_one import all_in_one
from harness.workloads.multitask.methods.schedule import Schedule, Setting, serving_itself
from harness.workloads.multitask.methods.weights import normalised, task_weights
from models.multitask.weighting import (
    DualBalanceRule,
    FamoRule,
    FixedWeights,
    GramRule,
    UncertaintyRule,
)


def fixed(setting: Setting, *, weights: str) -> Schedule:
    """Train one model on Σ w_i·L_i; without weights on the plain sum."""
    if not weights:
        return all_in_one(setting)
    given = task_weights(weights, "weights")
    return all_in_one(setting, FixedWeights(normalised(given, setting.tasks)))


def tuned(setting: Setting, *, tries: int, span: float) -> Schedule:
    """Train with several weights, keep the model of the least sum of validation losses.

    The first weights are equal; the others are drawn by the cell's seed, their logarithms evenly
    between those of 1/span and span. The method is charged for every one of them.
    """
    draw = random_stream(setting.seed, "weights of tasks")
    tried = []
    for number in range(tries):
        logs = draw.uniform(-1.0, 1.0, len(setting.tasks)) * math.log(span) * (number > 0)
        drawn = dict(zip(setting.tasks, map(math.exp, logs), strict=True))
        rule = FixedWeights(normalised(drawn, setting.tasks))
        tried.append((yield Job(setting.tasks, setting.rounds, local=rule, variant=f"{number}")))
    best = min(tried, key=lambda outcome: sum(losses_to_choose_by(outcome).values()))
    return [serving_itself(best)]


def uncertainty(setting: Setting, *, rate: float) -> Schedule:
    """Train one model and a variance for every task's loss, which travels with it."""
    return all_in_one(setting, UncertaintyRule(rate))


def famo(
    setting: Setting, *, rate: float, decay: float, most_norm: float, again: bool, travels: bool
) -> Schedule:
    """Train one model so that all losses fall at one pace."""
    return all_in_one(setting, FamoRule(rate, decay, most_norm, again, travels))


def db_mtl(
    setting: Setting, *, at: str, beta: float | None, sigma: float, logs: bool, travels: bool
) -> Schedule:
    """Train one model on log losses with smoothed gradients of one length."""
    smoothing = (0.9 if at == "parameters" else 0.0) if beta is None else beta
    return all_in_one(setting, DualBalanceRule(smoothing, sigma, logs, at, travels))


def cagrad(setting: Setting, *, at: str, c: float) -> Schedule:
    """Train one model by steps near the mean gradient that improve the worst task most."""
    return all_in_one(setting, GramRule("cagrad", c, at))


def aligned_mtl(setting: Setting, *, at: str) -> Schedule:
    """Train one model by gradients whose principal components are made equally long."""
    return all_in_one(setting, GramRule("aligned-mtl", 0.0, at))


def nash_mtl(setting: Setting, *, at: str, most_norm: float) -> Schedule:
    """Train one model by the Nash bargaining solution of its tasks."""
    return all_in_one(setting, GramRule("nash-mtl", 0.0, at, most_norm))


def fairgrad(setting: Setting, *, at: str, alpha: float) -> Schedule:
    """Train one model by steps that are alpha-fair to its tasks."""
    return all_in_one(setting, GramRule("fairgrad", alpha, at))


def imtl_g(setting: Setting, *, at: str) -> Schedule:
    """Train one model by steps that project alike on every task's gradient."""
    return all_in_one(setting, GramRule("imtl-g", 0.0, at))


def mgda(setting: Setting, *, at: str) -> Schedule:
    """Train one model by the shortest convex combination of its tasks' gradients."""
    return all_in_one(setting, GramRule("mgda", 0.0, at))
