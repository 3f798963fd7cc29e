"""Standalone training: no federation, every client alone on its own building."""

from __future__ import annotations

from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.schedule import Schedule, Setting, serving_itself


def standalone(setting: Setting) -> Schedule:
    """Train one merged model per client for all rounds on that client's images alone.

    Every model is tested on all buildings, as a global model is; a task's loss is the mean over
    clients. No model travels.
    """
    served = []
    for client in range(setting.clients):
        outcome = yield Job(setting.tasks, setting.rounds, clients=(client,))
        served.append(serving_itself(outcome))
    return served
