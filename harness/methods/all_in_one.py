"""All-in-one training: one job for all tasks, merged to the end."""

from __future__ import annotations

from harness.federated.job import Job
from harness.methods.schedule import Schedule, Setting


def all_in_one(setting: Setting) -> Schedule:
    """Train one model on all tasks for all rounds."""
    return [(yield Job(setting.tasks, setting.rounds))]
