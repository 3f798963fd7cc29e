"""Hold what is checked on a GPU: each check returns rows of a table, or says why it could not.

A check is a function of the card's record; list it in `CHECKS` to have it run. It may take as long
as `limit_s` says, and raises `CheckFailedError` where what must hold does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from devices.accelerator import CPU, GPU, Accelerator
from devices.errors import DeviceError
from devices.host import detect
from devices.profile import find_profile
from devices.profile_figures import GpuFigures
from devices.time_model import GpuTimeModel
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.planning.plan import build_for, random_step
from models.execution import PLAIN
from models.kernels import kernels_of
from models.multitask.registry import architecture
from tests.gpu.data_checks import data_ways
from tests.gpu.failing import CheckFailedError
from tests.gpu.heat_checks import what_the_driver_tells
from tests.gpu.step_checks import lowers_the_batch, steps_as_calibrated

Row = tuple[str, str, str]
"""What was looked at, the figure with its unit, and what was asked for (empty if nothing)."""

STEPS = 30
LEAST_COSINE = 0.99999


@dataclass(frozen=True)
class Check:
    """Name a check, the seconds it may take, and what carries it out."""

    title: str
    limit_s: float
    run: Callable[[Accelerator], Sequence[Row]]


def step_seconds(config: MultitaskConfig, steps: int = STEPS) -> list[float]:
    """Return seconds of plain training steps, each waited for; the first three are left out."""
    step = random_step(build_for(architecture(config.model), config.tasks, config, PLAIN), config)
    found = []
    for _ in range(steps + 3):
        torch.cuda.synchronize()
        start_s = time.perf_counter()
        step()
        torch.cuda.synchronize()
        found.append(time.perf_counter() - start_s)
    return found[3:]


def plain_steps(_card: Accelerator) -> list[Row]:
    """Time plain fp32 steps of both networks, merged and of one task."""
    rows = []
    for model in ("small", "xception"):
        merged = MultitaskConfig(model=model, accelerator=GPU)
        one = MultitaskConfig(model=model, accelerator=GPU, tasks="d")
        merged_s, one_s = median(step_seconds(merged)), median(step_seconds(one))
        rows += [
            (f"{model}: plain fp32 step of {merged.tasks}", f"{1e3 * merged_s:.2f} ms", ""),
            (f"{model}: merged step over a single one", f"{merged_s / one_s:.2f} ×", "≤ 1.5 ×"),
        ]
    return rows


def gradients(kind: str) -> torch.Tensor:
    """Return the gradient of one step of the default network, as one vector on the processor."""
    config = MultitaskConfig(accelerator=kind)
    net = build_for(architecture(config.model), config.tasks, config, PLAIN)
    random_step(net, config)()
    parts = [p.grad.detach().cpu().flatten() for p in net.parameters() if p.grad is not None]
    return torch.cat(parts)


def same_gradient(_card: Accelerator) -> list[Row]:
    """Compare the gradient of one step with the processor's.

    Raises:
        CheckFailedError: if their cosine is below that of rounding.
    """
    here, there = gradients(CPU), gradients(GPU)
    cosine = float(torch.nn.functional.cosine_similarity(here, there, dim=0))
    if not cosine >= LEAST_COSINE:
        raise CheckFailedError(f"gradients differ: cosine {cosine:.6f}, at least {LEAST_COSINE}")
    return [("cosine of the gradient with the processor's", f"{cosine:.7f}", f"≥ {LEAST_COSINE}")]


def modelled_step(card: Accelerator) -> list[Row]:
    """Compare a step with what a profile's figures model, if the card is that of a board.

    Of a computer's card no profile describes it, and the launch time alone is measured.
    """
    values = torch.zeros(8, device="cuda")
    torch.cuda.synchronize()
    start_s = time.perf_counter()
    for _ in range(2000):
        values.add_(1.0)
    torch.cuda.synchronize()
    launch_s = (time.perf_counter() - start_s) / 2000
    rows = [("time to launch one kernel", f"{1e6 * launch_s:.1f} µs", "")]
    config = MultitaskConfig(accelerator=CPU)
    net = build_for(architecture(config.model), config.tasks, config, PLAIN)
    kernels = kernels_of(random_step(net, config))
    rows.append(("small: kernels of a step", str(sum(k.count for k in kernels)), ""))
    gpu = _profile_figures() if card.shared_memory else None
    if gpu is not None:
        modelled_s = GpuTimeModel.from_figures(gpu.compute).time_s(kernels)
        measured_s = median(step_seconds(MultitaskConfig(accelerator=GPU)))
        rows.append(("modelled over measured step", f"{modelled_s / measured_s:.2f} ×", ""))
    return rows


def _profile_figures() -> GpuFigures | None:
    """Return the figures of this board's GPU; None if no profile knows the board."""
    try:
        return find_profile("auto", detect()).gpu
    except DeviceError:
        return None


CHECKS = (
    Check("The same gradient as on the processor", 60.0, same_gradient),
    Check("Plain steps", 100.0, plain_steps),
    Check("Launches", 60.0, modelled_step),
    Check("Steps as calibrated", 240.0, steps_as_calibrated),
    Check("Memory", 60.0, lowers_the_batch),
    Check("Data on the GPU", 60.0, data_ways),
    Check("Heat, power and memory as the driver tells them", 20.0, what_the_driver_tells),
)
"""What runs, in this order; every part of the project that needs a GPU adds its own."""
