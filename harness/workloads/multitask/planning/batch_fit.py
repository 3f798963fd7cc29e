"""Foretell the memory of training, and lower the batch size before the kernel ends the run.

A step of the merged model with a look-ahead, the largest thing a run does, is taken at two small
batch sizes while the kernel watches the peak of this process. Activations grow with the batch, so a
straight line through both says what the batch asked for will need. Where a GPU trains, the memory
in question is its own, or the one that it shares with the processor; a step with the batch taken is
then tried, and one that finds no memory makes it smaller.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from devices.control_groups import free_memory_bytes
from harness.measurement.memory import PeakMemory, out_of_memory
from harness.running.gpu_memory import GpuAllocator, PeakGpuMemory, free_gpu_bytes, gpu_allocator
from harness.running.target import Target
from harness.workloads.multitask.config import MultitaskConfig
from models.execution import Execution
from models.multitask.network import Architecture

SHARE = 0.9
"""Of what is free, the share that training may be expected to take."""

LEAST_BATCH = 2
"""Batch norm learns nothing from one image."""

TRIED = (2, 3)

HOST, GPU, SHARED = "host", "gpu", "shared"
PLACES = {
    HOST: "", GPU: " on the GPU", SHARED: " in what GPU and processor share",
}  # fmt: skip


@dataclass(frozen=True)
class BatchFit:
    """Hold the batch size asked for, the one taken, and from what that follows.

    `need_bytes` is what the batch asked for is expected to add to this process, `free_bytes` what
    host and device leave it; None where that is not known, and then nothing is changed. `memory`
    says which is meant: the host's, the GPU's, or the one both share. `burst` is the batch whose
    step found no memory when it was tried; None if none did. `trial_bytes` is what the largest jobs
    took of a GPU with the batch taken; None if they were not tried.
    """

    asked: int
    taken: int
    need_bytes: float | None = None
    free_bytes: int | None = None
    image_bytes: float | None = None
    memory: str = HOST
    burst: int | None = None
    trial_bytes: int | None = None

    @property
    def step_bytes(self) -> float | None:
        """Return what steps with the batch taken need at their peak; None if nothing is known."""
        if self.trial_bytes is not None:
            return self.trial_bytes
        if self.need_bytes is None or self.image_bytes is None:
            return None
        return self.need_bytes - (self.asked - self.taken) * self.image_bytes

    @property
    def lowered(self) -> bool:
        """Say whether the batch had to be made smaller."""
        return self.taken < self.asked

    def words(self) -> str:
        """Say what was changed and why; only if something was."""
        begin = f"batches of {self.taken} images instead of {self.asked}, for all methods:"
        return f"{begin} {self.why}. --keep-batch-size trains as asked"

    @property
    def why(self) -> str:
        """Say why a smaller batch had to be taken; only if one was."""
        if self.burst is not None:
            return f"a step of {self.burst} found no memory{PLACES[self.memory]}"
        assert self.need_bytes is not None
        assert self.free_bytes is not None
        return (
            f"training would need {self.need_bytes / 1e6:.0f} MB{PLACES[self.memory]}, and"
            f" {self.free_bytes / 1e6:.0f} MB are free"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def fit_batch(
    config: MultitaskConfig, target: Target, architecture: Architecture, execution: Execution
) -> BatchFit:
    """Return the batch size that fits, or that asked for if it is kept or nothing is known.

    Raises:
        RuntimeError: of torch, if on a GPU even the smallest batch finds no memory.
    """
    asked = config.batch_size
    gpu = gpu_allocator(target.accelerator)
    watched = WatchedMemory(target, gpu)
    free = watched.free_bytes()
    before = watched.peak_bytes()
    if config.keep_batch_size or free is None or before is None or asked <= LEAST_BATCH:
        return BatchFit(asked, asked, free_bytes=free, memory=watched.name)

    def step(batch_size: int) -> None:
        _measured_steps(replace(config, batch_size=batch_size), architecture, execution)

    def added(batch_size: int) -> int:
        watched.reset()
        step(batch_size)
        return (watched.peak_bytes() or 0) - before

    found = replace(fitted(asked, free, added), memory=watched.name)
    return found if gpu is None else tried(found, step, gpu.empty_cache)


class WatchedMemory:
    """Watch the memory that training is short of first: the host's, the GPU's, or both as one."""

    def __init__(self, target: Target, gpu: GpuAllocator | None) -> None:
        self._target = target
        self._gpu = gpu
        shared = gpu is not None and target.accelerator.shared_memory
        self.name = HOST if gpu is None else SHARED if shared else GPU
        self._host = PeakMemory() if gpu is None or shared else None
        self._own = PeakGpuMemory(gpu)
        self.reset()

    def free_bytes(self) -> int | None:
        """Return what can still be taken; of shared memory the less of what both sides say."""
        own = None if self._gpu is None else free_gpu_bytes(self._gpu)
        if self._host is None:
            return own
        host = free_bytes(self._target)
        return host if own is None or host is None else min(host, own)

    def reset(self) -> None:
        """Let the peak begin anew."""
        self._own.reset()
        if self._host is not None:
            self._host.reset()

    def peak_bytes(self) -> int | None:
        """Return the peak; what a GPU takes of shared memory is no resident memory of a process."""
        own = self._own.read_bytes()
        if self._host is None:
            return own
        host = self._host.read_bytes()
        return None if host is None else host + (own or 0)


def tried(found: BatchFit, step: Callable[[int], None], empty: Callable[[], None]) -> BatchFit:
    """Return what fits after steps were tried: a batch that finds no memory is halved.

    Raises:
        RuntimeError: of torch, if even the smallest batch finds none, or for another reason.
    """
    while True:
        try:
            step(found.taken)
        except RuntimeError as error:
            if not out_of_memory(error) or found.taken <= LEAST_BATCH:
                raise
        else:
            return found
        empty()  # else the blocks of the step that failed are in the way of the next
        found = replace(found, taken=max(found.taken // 2, LEAST_BATCH), burst=found.taken)


def fitted(asked: int, free: int, added: Callable[[int], int]) -> BatchFit:
    """Return the largest of asked, asked/2, asked/4 … whose need is within the share of `free`.

    `added(n)` is what steps with a batch of n add to this process at their peak. It is counted from
    before the first of them, as memory that one leaves to the next is not given back.
    """
    small, large = (added(batch_size) for batch_size in TRIED)
    image = max(large - small, 0) / (TRIED[1] - TRIED[0])
    fixed = max(small - TRIED[0] * image, 0.0)
    taken = asked
    while taken > LEAST_BATCH and fixed + taken * image > SHARE * free:
        taken = max(taken // 2, LEAST_BATCH)
    return BatchFit(asked, taken, fixed + asked * image, free, image)


def _measured_steps(
    config: MultitaskConfig, architecture: Architecture, execution: Execution
) -> None:
    """Take two steps with a look-ahead; momentum takes its memory in the first."""
    from harness.workloads.multitask.affinity.measure import (  # noqa: PLC0415 - imports torch
        LookAhead,
        MeasuredStep,
        affinity,
    )
    from harness.workloads.multitask.planning.plan import build_for, random_batch  # noqa: PLC0415
    from models.multitask.optimizer import descent  # noqa: PLC0415

    net = build_for(architecture, config.tasks, config, execution)
    optimizer = descent(net, execution, lr=1e-6, momentum=0.9)
    images, targets = random_batch(config.tasks, config.batch_size, config.size)
    batch = images.to(net.device), {task: t.to(net.device) for task, t in targets.items()}
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        step = MeasuredStep(net, batch)
        affinity(net, batch, LookAhead(1e-6), step.apart())
        optimizer.step()
        del step


def free_bytes(target: Target, root: Path = Path("/")) -> int | None:
    """Return the bytes this process can still take, here and on the device it answers for.

    The least of what the kernel calls available, what the control groups of the process leave, and
    what the device has; None if the kernel does not tell.
    """
    available = _number(root / "proc/meminfo", r"^MemAvailable:\s+(\d+) kB")
    if available is None:
        return None
    found = [1024 * available]
    left = free_memory_bytes(root)
    if left is not None:
        found.append(left)
    if not target.matches:
        own = _number(root / "proc/self/status", r"^RssAnon:\s+(\d+) kB") or 0
        found.append(max(target.profile.memory_bytes - 1024 * own, 0))
    return min(found)


def _number(path: Path, pattern: str) -> int | None:
    try:
        found = re.search(pattern, path.read_text(encoding="ascii"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return None
    return int(found[1]) if found else None
