"""All-in-one training with PCGrad (Yu et al., NeurIPS 2020)."""

from __future__ import annotations

from harness.workloads.multitask.methods.all_in_one import all_in_one
from harness.workloads.multitask.methods.schedule import Schedule, Setting
from harness.workloads.multitask.training.local_rule import ProjectedGradients


def pcgrad(setting: Setting) -> Schedule:
    """Train one model on all tasks; clients project conflicting encoder gradients."""
    return all_in_one(setting, ProjectedGradients())
