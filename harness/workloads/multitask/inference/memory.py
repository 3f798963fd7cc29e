"""Read what a process needs that does nothing but answer with some models.

Each look is a process of its own, started with this module, so that neither training nor another
model is in the figure. Only what the runtime itself needs is imported there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.own_modules import module_words, own_environment
from harness.measurement.memory import PeakMemory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[4]
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class MemoryProbe:
    """Say what the process does: load these files and answer one batch with each.

    `files` are ONNX files, or for torch files of weights. `networks` are then, one per file, the
    tasks that it was trained on and those that it answers.
    """

    runtime: str
    provider: str
    int8: bool
    threads: int
    batch_size: int
    size: int
    files: tuple[str, ...]
    model: str = ""
    networks: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Peak:
    """Hold the peak resident memory of the process, and how much of it came with the models."""

    whole_bytes: int
    models_bytes: int


def peak_memory(probe: MemoryProbe) -> Peak | None:
    """Return the peak of a process that does what the probe says; None if the kernel hides it."""
    done = subprocess.run(
        [*module_words(__spec__.name), json.dumps(asdict(probe))],
        env=own_environment(), cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        return None
    answer = json.loads(done.stdout)
    whole, before = answer["peak_bytes"], answer["before_bytes"]
    return None if whole is None or before is None else Peak(whole, max(0, whole - before))


def main(words: Sequence[str]) -> int:
    """Do what a probe says and print both sizes as JSON."""
    probe = MemoryProbe(**json.loads(words[0]))
    memory = PeakMemory()
    import numpy as np  # noqa: PLC0415 - the process measures what it imports

    images = np.zeros((probe.batch_size, 3, probe.size, probe.size), np.float32)
    models = _torch(probe) if probe.runtime == "torch" else _onnx(probe)
    memory.reset()
    before = memory.read_bytes()
    _answer(models, images)
    print(json.dumps({"before_bytes": before, "peak_bytes": memory.read_bytes()}))
    return 0


def _onnx(probe: MemoryProbe) -> list[Any]:
    import onnxruntime  # noqa: F401, PLC0415 - so that it is in the size before

    from harness.workloads.multitask.inference.onnx_session import OnnxModel  # noqa: PLC0415

    return [
        lambda path=path: OnnxModel(Path(path), probe.provider, probe.threads, int8=probe.int8)
        for path in probe.files
    ]


def _torch(probe: MemoryProbe) -> list[Any]:
    import torch  # noqa: PLC0415

    from harness.workloads.multitask.inference.networks import TorchModel, load_network  # noqa: PLC0415
    from models.multitask.registry import architecture  # noqa: PLC0415

    torch.set_num_threads(probe.threads)
    network = architecture(probe.model)
    return [
        lambda path=path, trained=trained, tasks=tasks: TorchModel(
            load_network(network, trained, Path(path)), tasks
        )
        for path, (trained, tasks) in zip(probe.files, probe.networks, strict=True)
    ]


def _answer(makers: Sequence[Any], images: NDArray[np.float32]) -> None:
    """Load all models, as a device keeps them, and answer twice with each."""
    models = [make() for make in makers]
    for _ in range(2):
        for model in models:
            model(model.prepare(images))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
