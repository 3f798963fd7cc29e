"""Check on a GPU how steps are executed there, and that memory that runs out lowers the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import torch

from devices.accelerator import Accelerator
from harness.running.target import resolve_target, settled
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.planning.batch_fit import BatchFit, fit_batch
from harness.workloads.multitask.planning.job_trial import try_jobs
from models.execution import PLAIN
from models.multitask.registry import architecture
from tests.benchmarks.gpu import MERGED_GOAL, SHAPES, SPEED_GOAL, calibrated, paired

SPARE = 1.5
"""Times the memory of a batch of 8 that is left for one of 64."""


def steps_as_calibrated(_card: Accelerator) -> Sequence[tuple[str, str, str]]:
    """Time steps as chosen over the plain loop, name what was refused, and merged over single."""
    rows = []
    for model, size, batch_size, turns in SHAPES:
        config, choice = calibrated(model, size, batch_size)
        way, tasks = choice.execution.text, config.tasks
        ways = [(tasks, "loop"), (tasks, way), (tasks[0], way)]
        plain_s, merged_s, single_s = paired(config, ways, turns)
        gain = median(p / m for p, m in zip(plain_s, merged_s, strict=True))
        ratio = median(m / s for m, s in zip(merged_s, single_s, strict=True))
        rows += [
            (f"{model}: step of {tasks} as {way} over the plain loop", f"{gain:.2f} ×",
             f"≥ {SPEED_GOAL} ×"),
            (f"{model}: the same over one task's", f"{ratio:.2f} ×", f"≤ {MERGED_GOAL} ×"),
            *((f"{model}: refused", words, "") for words in choice.refused),
            *((f"{model}: {one['execution']} cannot be used", one["problem"], "")
              for one in choice.calibrated["candidates"] if one["problem"]),
        ]  # fmt: skip
    return rows


def lowers_the_batch(_card: Accelerator) -> Sequence[tuple[str, str, str]]:
    """Leave little of the GPU's memory to this process, and look what batch is taken."""
    config = MultitaskConfig(batch_size=64)
    target = resolve_target(config)
    config = settled(config, target)
    network = architecture(config.model)
    need = fit_batch(replace(config, batch_size=8), target, network, PLAIN).need_bytes
    if not need:
        return [("what a step with 8 images needs", "not known", "")]
    free, total = torch.cuda.mem_get_info()
    held = torch.empty(max(int(free - SPARE * need), 1), dtype=torch.uint8, device="cuda")
    try:
        found = fit_batch(config, target, network, PLAIN)
    finally:
        del held
        torch.cuda.empty_cache()
    jobs = try_jobs(replace(config, batch_size=8), target, network, PLAIN, BatchFit(8, 8))
    return [
        ("a step with 8 images needs", f"{need / 1e6:.0f} MB of {total / 1e6:.0f}", ""),
        ("the largest jobs with 8 images took", f"{(jobs.trial_bytes or 0) / 1e6:.0f} MB", ""),
        ("batch taken of 64 with half as much again left", str(found.taken), "< 64"),
    ]
