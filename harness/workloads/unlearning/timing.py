"""Time the pieces of work on this host, to say how long a run takes, and model other devices."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from devices.time_model import HostTiming, TimeModel
from harness.measurement.cost import DeviceModel
from harness.running.target import Target
from harness.workloads.unlearning.data.interactions import Interactions
from harness.workloads.unlearning.methods.attention import BATCH, ROUNDS, combine
from harness.workloads.unlearning.training import Training, learn, untrained

STEPS = 20
COPY_BYTES = 1 << 24
MATRIX = 256
PARTS = ("step", "attention", "operation")


@dataclass(frozen=True)
class Timing:
    """Hold seconds on this host: of a training step, an attention step, an operation of algebra.

    `copy_bytes_per_s` counts bytes read and written.
    """

    step_s: float
    attention_s: float
    operation_s: float
    copy_bytes_per_s: float

    def device_model(self, target: Target) -> DeviceModel | None:
        """Return what carries work over to the device asked for; None if this host is it.

        Steps are calls on short vectors, so all of them scales with memory; operations of matrix
        algebra scale with arithmetic.
        """
        if target.matches:
            return None
        seconds = (self.step_s, self.attention_s, self.operation_s)
        host = HostTiming(
            dict(zip(PARTS, seconds, strict=True)), dict(zip(PARTS, (0.0, 0.0, 1.0), strict=True)),
            1.0 / self.operation_s, self.copy_bytes_per_s,
        )  # fmt: skip
        return DeviceModel(TimeModel.from_profile(target.profile), host)

    def as_dict(self) -> dict[str, float]:
        """Return plain values for the manifest."""
        return asdict(self)


def recorded(manifest: Mapping[str, Any]) -> Timing | None:
    """Return the timing of a run that goes on; None if it has none."""
    told = manifest.get("timing")
    return Timing(**told) if isinstance(told, dict) else None


def take(data: Interactions, training: Training, attention_shards: int) -> Timing:
    """Time some steps on some of the data, in a second."""
    few = data.train.only(_few(data, training.batch_size))
    short = replace(training, epochs=1)
    steps = max(1, training.steps(len(few), 1))
    step_s = _least(lambda: learn(few, short, 0, 0)) / steps
    attention_s = 0.0
    if attention_shards:
        shards = [untrained(data.train, training, 0, s) for s in range(attention_shards)]
        steps = ROUNDS * -(-len(few) // BATCH)
        attention_s = _least(lambda: combine(few, shards, 0), 1) / max(1, steps)
    matrix = np.ones((MATRIX, MATRIX))
    operation_s = _least(lambda: matrix @ matrix) / (2.0 * MATRIX**3)
    block = torch.zeros(COPY_BYTES // 4)
    return Timing(step_s, attention_s, operation_s, 2.0 * COPY_BYTES / _least(block.clone))


def _few(data: Interactions, batch: int) -> np.ndarray:
    """Return the first users, with pairs for some steps."""
    wanted = max(STEPS * batch, BATCH)
    last = int(np.searchsorted(data.train.starts, wanted))
    return data.everyone[: max(1, last)]


def _least(do: Callable[[], object], times: int = 3) -> float:
    """Return the least seconds of some tries; the first pays for what is only paid once.

    Seconds are this thread's own: other programs do not count, and threads that help run beside.
    """
    do()
    found = []
    for _ in range(times):
        began_s = time.thread_time()
        do()
        found.append(time.thread_time() - began_s)
    return max(min(found), 1e-9)
