"""Foretell how many bytes a run writes."""

from __future__ import annotations

from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.planning.plan import cell_setting, planned_jobs
from models.multitask.network import Architecture, build

SAMPLE_BYTES = 32
RAILS = 4
TABLE_BYTES_PER_ROUND = 20_000
"""Marks and values of a round, in the journal and in the tables, twice over."""

MARGIN = 1.2


def results_bytes(config: MultitaskConfig, architecture: Architecture, time_s: float) -> float:
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


def _model_bytes(architecture: Architecture, tasks: str) -> int:
    tensors = build(architecture, tasks, 0).state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
