"""All-in-one training with PCGrad (Yu et al., NeurIPS 2020)."""

from __future__ import annotations

from harness.federated.local_rule import ProjectedGradients
from harness.methods.all_in_one import all_in_one
from harness.methods.schedule import Schedule, Setting


def pcgrad(setting: Setting) -> Schedule:
    """Train one model on all tasks; clients project conflicting encoder gradients."""
    return all_in_one(setting, ProjectedGradients())
