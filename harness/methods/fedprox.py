"""All-in-one training with FedProx (Li et al., MLSys 2020)."""

from __future__ import annotations

from harness.federated.local_rule import Proximal
from harness.methods.all_in_one import all_in_one
from harness.methods.schedule import Schedule, Setting


def fedprox(setting: Setting, *, mu: float) -> Schedule:
    """Train one model on all tasks; each client is held near the global model it was given."""
    return all_in_one(setting, Proximal(mu))
