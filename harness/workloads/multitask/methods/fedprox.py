"""All-in-one training with FedProx (Li et al., MLSys 2020)."""

from __future__ import annotations

from harness.workloads.multitask.methods.all_in_one import all_in_one
from harness.workloads.multitask.methods.schedule import Schedule, Setting
from harness.workloads.multitask.training.local_rule import Proximal


def fedprox(setting: Setting, *, mu: float) -> Schedule:
    """Train one model on all tasks; each client is held near the global model it was given."""
    return all_in_one(setting, Proximal(mu))
