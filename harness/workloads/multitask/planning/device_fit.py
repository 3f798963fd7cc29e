"""Settle on a device of a fleet what its own memory decides, before it trains.

The batch is the same for all methods and devices, so a device that has no memory for it is not
given a smaller one: it says which would fit, and takes no part. How data come to its GPU changes
nothing that is learned, so every device has its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.core.errors import MemoryExceededError, StepRefusedError, first_line
from harness.measurement.gpu_faults import gpu_errors, tells_of_gpu_fault
from harness.measurement.memory import memory_errors, out_of_memory
from harness.running.accelerator import GPU
from harness.running.target import Target
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.planning.batch_fit import BatchFit, fit_batch
from harness.workloads.multitask.planning.data_way import DataWay, choose_data_way
from harness.workloads.multitask.planning.job_trial import try_jobs
from harness.workloads.multitask.planning.step_timing import barred
from harness.workloads.multitask.training.batches import Source
from harness.workloads.multitask.training.feeding import pinning_fault
from models.execution import PLAIN, Execution
from models.multitask.network import Architecture


@dataclass(frozen=True)
class DeviceFit:
    """Hold that the run's batch fits a device, by which figures, and how data come to its GPU."""

    batch: BatchFit
    data: DataWay | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "batch": self.batch.as_dict(),
            "data": None if self.data is None else self.data.as_dict(),
        }

    def words(self) -> list[str]:
        """Say to people what was chosen; nothing on a processor."""
        return [] if self.data is None else [f"its clients' images: {self.data.words()}"]


def fit_device(
    config: MultitaskConfig,
    target: Target,
    architecture: Architecture,
    execution: Execution,
    source: Source,
    clients: Sequence[int],
) -> DeviceFit:
    """Try the batch of a configuration in this device's memory, as a run on one device does.

    With `--keep-batch-size` nothing is tried, and no data stay on a GPU.

    Raises:
        MemoryExceededError: if the batch does not fit, with the one that would.
        StepRefusedError: if steps cannot be executed in this way here.
        GpuLostError: if the GPU fails meanwhile.
    """
    kind = target.accelerator.kind_here
    way = PLAIN if barred(execution, gpu=kind == GPU) else execution  # what is barred is said later
    with memory_errors(), gpu_errors():
        try:
            batch = fit_batch(config, target, architecture, way)
            sized = replace(config, batch_size=batch.taken)
            batch = try_jobs(sized, target, architecture, way, batch)
        except RuntimeError as error:
            if out_of_memory(error) or way == PLAIN or tells_of_gpu_fault(str(error)):
                raise
            raise StepRefusedError(
                f"{way.text.replace('+', ', ')} steps cannot be executed: {first_line(error)}",
                "Train with --step plain, or without this device.",
            ) from error
        data = choose_data_way(source, config.tasks, target, batch, pinning_fault, clients)
    if batch.lowered:
        raise MemoryExceededError(
            f"batches of {batch.asked} images do not fit its memory, batches of {batch.taken}"
            f" would: {batch.why}",
            f"Give the server --batch-size {batch.taken}, as the batch is the same for all methods"
            " and devices, or train without this device.",
        )
    return DeviceFit(batch, data)
