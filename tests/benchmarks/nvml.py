"""Compare an NVIDIA GPU's energy counter with its sampled power in the same windows.

Two collectors read the GPU side by side, one the counter and one the power, while the default
training runs on it; then while it idles. Needs a GPU, its driver, a PyTorch with CUDA and the
package nvidia-ml-py; without them it says what is missing.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from devices.collector import Collector
from devices.cuda_probe import cuda_here
from devices.energy import Reading, energy
from devices.meters.registry import try_meter
from harness.running.accelerator import GPU, prepare, settled_clock
from tests.benchmarks.load import training_step
from tests.benchmarks.table import head, row, spread

WINDOWS = 5
WINDOW_S = 20.0
METERS = ("nvml:kind=counter", "nvml:kind=sampled")


def missing() -> list[str]:
    """Return what keeps this host from running the comparison, in sentences."""
    found = [f"Training on the GPU: {fault}." for fault in [cuda_here().fault] if fault]
    for text in METERS:
        answer = try_meter(text)
        if not answer.usable:
            found.append(f"Meter {text}: {answer.reason}. {answer.fix}".rstrip())
    return found


def report() -> list[str]:
    """Train, idle and compare; takes about four minutes. Without a GPU say why."""
    faults = missing()
    if faults:
        return ["Not run, nothing was measured: this needs an NVIDIA GPU.", *faults]
    prepare(GPU)
    step, clock = training_step(GPU), settled_clock(GPU)
    gpu = cuda_here().gpu
    assert gpu is not None  # as nothing is missing
    lines = [f"{gpu.name}, CUDA {gpu.cuda}; {WINDOWS} windows of {WINDOW_S:g} s", ""]
    lines += head("while it", "min", "median", "max")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nvml-")))
        collectors = [
            stack.enter_context(Collector(text, record_path=folder / f"{number}.bin"))
            for number, text in enumerate(METERS)
        ]
        for doing, action in (("trains", step), ("idles", lambda: time.sleep(0.1))):
            lines += _compare(doing, collectors, action, clock)
    return lines


def _compare(
    doing: str, collectors: list[Collector], action: Callable[[], None], clock: Callable[[], float]
) -> list[str]:
    windows = []
    for _ in range(WINDOWS):
        start_s = clock()
        while clock() - start_s < WINDOW_S:
            action()
        windows.append((start_s, clock()))
    for collector in collectors:
        collector.wait_past(windows[-1][1], timeout_s=5.0)
    counted, sampled = (
        [energy(collector.streams(), *window) for window in windows] for collector in collectors
    )
    return table(doing, counted, sampled)


def table(doing: str, counted: list[Reading], sampled: list[Reading]) -> list[str]:
    """Return rows for pairs of readings of the same windows; spoilt ones are left out and told."""
    pairs = [
        (a.energy_j / (a.end_s - a.start_s), b.energy_j / a.energy_j)
        for a, b in zip(counted, sampled, strict=True)
        if a.energy_j and b.energy_j is not None
    ]
    reasons = dict.fromkeys(r.reason for r in (*counted, *sampled) if r.reason)
    return [
        row(f"{doing}: power by the counter, W", *spread([power_w for power_w, _ in pairs], ".2f")),
        row(f"{doing}: sampled over counted", *spread([ratio for _, ratio in pairs], ".4f")),
        *(row(f"{doing}: a window was spoilt", reason, "", "") for reason in reasons),
    ]
