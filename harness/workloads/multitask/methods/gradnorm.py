"""All-in-one training with GradNorm (Chen et al., ICML 2018)."""

from __future__ import annotations

from harness.workloads.multitask.methods.all_in_one import all_in_one
from harness.workloads.multitask.methods.schedule import Schedule, Setting
from harness.workloads.multitask.training.local_rule import GradNorm


def gradnorm(setting: Setting, *, alpha: float, step: float) -> Schedule:
    """Train one model on all tasks; each client balances its task losses within its round."""
    return all_in_one(setting, GradNorm(alpha, step))
