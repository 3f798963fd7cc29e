"""One-by-one training: every task its own federated job, the reference of every comparison."""

from __future__ import annotations

from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.schedule import Schedule, Setting, serving_itself


def independent(setting: Setting) -> Schedule:
    """Train one model per task for all rounds, on the clients that have labels for it."""
    served = []
    for task in setting.tasks:
        outcome = yield Job(task, setting.rounds, clients=setting.owners(task))
        served.append(serving_itself(outcome))
    return served
