"""Foretell what a run writes, and refuse to begin what cannot end for want of space."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.config import RunConfig
from harness.core.errors import DiskFullError
from harness.workloads.multitask.planning.plan import cell_setting, planned_jobs
from models.multitask.network import Architecture, build

SAMPLE_BYTES = 32
RAILS = 4
TABLE_BYTES_PER_ROUND = 20_000
"""Marks and values of a round, in the journal and in the tables, twice over."""

MARGIN = 1.2


def results_bytes(config: RunConfig, architecture: Architecture, time_s: float) -> float:
    """Return about how many bytes a run leaves and needs on the way.

    Weights of every served model, the checkpoints of one cell, tables, and samples of a meter with
    a few rails over the estimated time.
    """
    sizes: dict[str, int] = {}
    served = largest = rounds = 0
    for spec in config.method_specs():
        jobs = planned_jobs(spec, cell_setting(config, config.seeds[0]))
        for job in jobs:
            if job.tasks not in sizes:
                sizes[job.tasks] = _model_bytes(architecture, job.tasks)
            rounds += job.rounds
        cell = sum(sizes[job.tasks] for job in jobs)
        served += cell
        largest = max(largest, cell + 2 * max((sizes[job.tasks] for job in jobs), default=0))
    repeats = len(config.seeds) * config.repeats
    samples = time_s * config.rate_hz * SAMPLE_BYTES * RAILS
    return MARGIN * (repeats * (served + rounds * TABLE_BYTES_PER_ROUND) + largest + samples)


def check_space(folder: Path, needed_bytes: float) -> None:
    """Do nothing if the disk of a folder, which may not exist yet, has room enough.

    Raises:
        DiskFullError: saying what is needed and what is there.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed_bytes:
        raise DiskFullError(
            f"{folder}: the results need about {needed_bytes / 1e6:.0f} MB, but only"
            f" {free / 1e6:.0f} MB are free",
            "Free some space or choose another folder with --out DIR.",
        )


def _model_bytes(architecture: Architecture, tasks: str) -> int:
    tensors = build(architecture, tasks, 0).state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
