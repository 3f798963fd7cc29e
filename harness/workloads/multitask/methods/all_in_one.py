"""All-in-one training: one job for all tasks, merged to the end."""

from __future__ import annotations

from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.schedule import Schedule, Setting, serving_itself
from harness.workloads.multitask.methods.unlike_clients import averaged
from harness.workloads.multitask.training.joining import Joining
from harness.workloads.multitask.training.local_rule import LocalRule


def all_in_one(
    setting: Setting, local: LocalRule | None = None, joining: Joining | None = None
) -> Schedule:
    """Train one model on all tasks for all rounds.

    Where clients have labels of unlike tasks, what their models share is averaged every round.
    """
    if setting.client_tasks:
        return (yield from averaged(setting))
    merged = yield Job(setting.tasks, setting.rounds, local=local, joining=joining)
    return [serving_itself(merged)]
