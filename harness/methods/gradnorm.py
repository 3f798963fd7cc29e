"""All-in-one training with GradNorm (Chen et al., ICML 2018)."""

from __future__ import annotations

from harness.federated.local_rule import GradNorm
from harness.methods.all_in_one import all_in_one
from harness.methods.schedule import Schedule, Setting


def gradnorm(setting: Setting, *, alpha: float, step: float) -> Schedule:
    """Train one model on all tasks; each client balances its task losses within its round."""
    return all_in_one(setting, GradNorm(alpha, step))
