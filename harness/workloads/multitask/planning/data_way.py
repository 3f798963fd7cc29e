"""Decide once for a run how clients' images and labels come to the GPU that trains.

They stay there where its memory holds them beside the largest step with room to spare; on a Jetson
that is the memory which the processor has too. Otherwise they are copied from pinned memory while
the step before runs. All methods of a run get their data in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from devices.accelerator import CPU
from harness.core.errors import MemoryExceededError
from harness.measurement.memory import out_of_memory
from harness.running.accelerator import torch_device
from harness.running.gpu_memory import gpu_allocator
from harness.running.target import Target
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.planning.batch_fit import PLACES, SHARE, BatchFit, WatchedMemory
from harness.workloads.multitask.training.batches import Source, labels_of
from harness.workloads.multitask.training.feeding import (
    AHEAD,
    COPIED,
    KEPT,
    TRAIN,
    GpuData,
    pinning_fault,
)

SPARE = 0.5
"""Of what the largest step leaves, the share that data may take: graphs, kernels' workspaces and
other programs take from it too."""


@dataclass(frozen=True)
class DataWay:
    """Hold how data come to the GPU, and from what that follows.

    `data_bytes` is what clients' data take as they are stored; `free_bytes` what the GPU had free
    and `step_bytes` what the largest step takes of it, None where that is not known. `memory` says
    whose memory is meant; `why` why pinned memory was not to be had.
    """

    way: str
    data_bytes: int = 0
    free_bytes: int | None = None
    step_bytes: float | None = None
    memory: str = ""
    why: str = ""

    def words(self) -> str:
        """Say what was chosen and why."""
        size = f"{self.data_bytes / 1e6:.0f} MB"
        if self.way == KEPT:
            return f"{size}, kept on the GPU"
        place = PLACES.get(self.memory, "").replace(" on the GPU", " there")
        if self.free_bytes is None or self.step_bytes is None:
            lack = "what a step leaves is not known"
        else:
            lack = (
                f"{self.free_bytes / 1e6:.0f} MB are free{place}, of which a step takes"
                f" {self.step_bytes / 1e6:.0f}"
            )
        if self.way == COPIED:
            return f"{size}, copied batch by batch as memory cannot be pinned ({self.why})"
        return f"{size}, copied to the GPU ahead of each step ({lack})"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def choose_data_way(
    source: Source,
    tasks: str,
    target: Target,
    batch: BatchFit | None,
    pinning: Callable[[], str] = pinning_fault,
    clients: Sequence[int] | None = None,
) -> DataWay | None:
    """Return how data come to the GPU; None where a processor trains.

    `pinning` returns why memory cannot be pinned, empty if it can; `clients` train here, by default
    all.
    """
    gpu = gpu_allocator(target.accelerator)
    if target.accelerator.kind_here == CPU or gpu is None:
        return None
    watched = WatchedMemory(target, gpu)
    size, free = training_bytes(source, tasks, clients), watched.free_bytes()
    need = None if batch is None else batch.step_bytes
    found = DataWay(AHEAD, size, free, need, watched.name)
    why = pinning()
    if why:
        return DataWay(COPIED, size, free, need, watched.name, why)
    if free is None or need is None or size > SPARE * (SHARE * free - need):
        return found
    return DataWay(KEPT, size, free, need, watched.name)


def training_bytes(source: Source, tasks: str, clients: Sequence[int] | None = None) -> int:
    """Return the bytes that clients' training images and their labels take as they are stored."""
    total = 0
    for client in range(source.count(TRAIN)) if clients is None else clients:
        arrays = source.split(TRAIN, client)
        labels = labels_of(arrays, tasks, masked=source.masked)
        total += sum(int(arrays[label].nbytes) for label in labels)
    return total


def source_brought(
    source: Source,
    way: DataWay | None,
    config: MultitaskConfig,
    clients: Sequence[int] | None = None,
) -> Source:
    """Return a source whose batches come to the GPU in a way; on a processor the source itself."""
    if way is None or way.way == COPIED:
        return source
    return GpuData(source, torch_device(config.kind_here), way.way, clients=clients)


def fill(source: Source, tasks: str) -> None:
    """Bring what stays on a GPU there; nothing if nothing stays.

    Raises:
        MemoryExceededError: if it does not fit any more, as in a run that goes on beside others.
    """
    if not isinstance(source, GpuData) or not source.count(TRAIN):
        return
    try:
        source.fill(labels_of(source.split(TRAIN, 0), tasks, masked=source.masked))
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise MemoryExceededError(
            f"this run keeps {training_bytes(source, tasks) / 1e6:.0f} MB of training data on the"
            " GPU, which has no room for them now",
            "End what else uses the GPU and type the same command, or choose anew with --fresh.",
        ) from error
