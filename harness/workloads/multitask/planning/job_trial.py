"""Carry out the largest jobs of a run's methods once on a GPU, before the first of them counts.

A step that fits says little of a run: look-aheads keep the gradients of every task, some rules keep
more, a graph holds memory of its own beside that of steps launched singly, and tests take batches
of another size. So the jobs that methods will ask for are made out on paper, and the largest of
each kind is carried out on random images, tests included. One that finds no memory halves the batch
for all methods; after that, memory that runs out in a run is another program's doing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.core.errors import DataError, DivergedError
from harness.federated.observer import SilentObserver
from harness.running.accelerator import torch_device
from harness.running.gpu_memory import gpu_allocator
from harness.running.target import Target
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.data.split import Split
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.planning.batch_fit import BatchFit, WatchedMemory, tried
from harness.workloads.multitask.planning.plan import cell_setting, planned_jobs
from harness.workloads.multitask.settings import federation
from harness.workloads.multitask.training.batches import MASK, Source, image_bytes
from harness.workloads.multitask.training.evaluation import BATCH_SIZE as TEST_BATCH
from harness.workloads.multitask.training.feeding import AHEAD, TRAIN, GpuData, pinning_fault
from models.execution import Execution
from models.multitask.network import Architecture
from models.multitask.tasks import SEMANTIC_CLASSES, TASKS

TRAINED, TESTED = 3, 2
"""Batches that a trial trains on and is tested by: one looks ahead, one records a graph, and the
next is on its way meanwhile."""

_NUMBERS = re.compile(r"\d[\d.e-]*")
"""Weights of a rule, which take no memory."""

Kind = tuple[str, AffinityRule | None]
"""Rule by which clients train, and how they look ahead if they do."""


def largest_jobs(config: MultitaskConfig) -> list[Job]:
    """Return the largest job of every kind that the methods of a run ask for, of one round each."""
    found: dict[Kind, Job] = {}
    for spec in config.method_specs():
        for job in planned_jobs(spec, cell_setting(config, config.seeds[0])):
            kind = _NUMBERS.sub("", str(job.local)), job.affinity if job.measured_rounds else None
            if kind not in found or _size(job) > _size(found[kind]):
                found[kind] = job
    jobs = [_alone(job) for kind, job in found.items() if not _covered(kind, job, found)]
    return sorted(jobs, key=_size, reverse=True)


def _size(job: Job) -> int:
    return image_bytes(job.tasks, 1) + len(job.tasks)


def _covered(kind: Kind, job: Job, found: Mapping[Kind, Job]) -> bool:
    """Say whether another job does all that this one does, and looks ahead besides."""
    rule, looks = kind
    return looks is None and any(
        other[0] == rule and other[1] is not None and set(job.tasks) <= set(larger.tasks)
        for other, larger in found.items()
    )


def _alone(job: Job) -> Job:
    return Job(
        job.tasks, 1, measure_affinity=job.measured_rounds > 0, local=job.local,
        affinity=job.affinity, descent=job.descent, joining=job.joining,
    )  # fmt: skip


class RandomImages:
    """Serve one client with random images and labels; implements `training.batches.Source`.

    All that is not trained on is one set of images: on a Jetson they take of the memory watched.
    """

    masked = True
    depth_unit_m = 1.0
    normalisation: Mapping[str, tuple[float, float]] = dict.fromkeys(TASKS, (0.0, 255.0))

    def __init__(self, size: int, batch_size: int, tasks: str) -> None:
        self._size = size
        self._tasks = tasks
        self._trained = TRAINED * batch_size
        self._arrays: dict[int, Mapping[str, NDArray[Any]]] = {}

    def split(self, split: Split, client: int) -> Mapping[str, NDArray[Any]]:
        """Return arrays as a store has them, made once."""
        images = self.length(split, client)
        if images not in self._arrays:
            self._arrays[images] = self._made(images)
        return self._arrays[images]

    def _made(self, images: int) -> Mapping[str, NDArray[Any]]:
        random = np.random.default_rng(0)
        shape = (images, self._size, self._size)
        found = {MASK: np.ones(shape, np.uint8)}
        for name, wide in [("rgb", 3), *((TASKS[t].label, _channels(t)) for t in self._tasks)]:
            top = SEMANTIC_CLASSES if wide == 0 else 256
            own = (*shape, wide) if wide > 1 else shape
            found[name] = random.integers(1, top, own, dtype=np.uint8)
        return found

    def length(self, split: Split, client: int) -> int:  # noqa: ARG002
        """Return how many images there are."""
        return self._trained if split == TRAIN else TESTED * TEST_BATCH

    def count(self, split: Split) -> int:  # noqa: ARG002
        """Return one client."""
        return 1


def _channels(task: str) -> int:
    """Return the channels of a stored label; 0 stands for class ids."""
    return 0 if TASKS[task].loss == "cross-entropy" else TASKS[task].channels


def try_jobs(
    config: MultitaskConfig,
    target: Target,
    architecture: Architecture,
    execution: Execution,
    batch: BatchFit,
) -> BatchFit:
    """Return the batch with which the largest jobs find memory on the GPU, and what they took.

    On a processor, and where the batch is to be kept, nothing is tried.

    Raises:
        RuntimeError: of torch, if even the smallest batch finds no memory.
    """
    gpu = gpu_allocator(target.accelerator)
    if gpu is None or config.keep_batch_size:
        return batch
    jobs = largest_jobs(config)
    watched = WatchedMemory(target, gpu)
    before = watched.peak_bytes()

    def carry_out(batch_size: int) -> None:
        watched.reset()
        sized = replace(config, batch_size=batch_size)
        for job in jobs:
            _carried_out(sized, architecture, execution, job)

    found = tried(batch, carry_out, gpu.empty_cache)
    peak = watched.peak_bytes()
    took = None if peak is None or before is None else max(peak - before, 0)
    return replace(found, trial_bytes=took)


def _carried_out(
    config: MultitaskConfig, architecture: Architecture, execution: Execution, job: Job
) -> None:
    """Train and test a job; random images may well let its loss explode."""
    images = RandomImages(config.size, config.batch_size, job.tasks)
    settings = replace(federation(config, execution), clients_per_round=1, loss="auto")
    source = _brought(images, torch_device(config.kind_here))
    engine = LocalEngine(source, architecture, settings, 0, SilentObserver())
    with contextlib.suppress(DataError, DivergedError):
        engine.run(job)


def _brought(images: RandomImages, device: torch.device) -> Source:
    return images if pinning_fault() else GpuData(images, device, AHEAD)
