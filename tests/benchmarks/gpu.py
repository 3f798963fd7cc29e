"""Time training steps on an NVIDIA GPU: as calibrated there, against the plain fp32 eager loop.

The plain loop is what one writes first, on the same GPU, without TF32. Steps are timed in turn in
one run, each moment read when the GPU is done. Then the merged step of five tasks over a single
one, the share of the train phase that is forward, backward and optimizer, and joules by the energy
counter beside sampled power. Without a GPU it says what is missing and measures nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.table import head, row, spread

if TYPE_CHECKING:
    from harness.workloads.multitask.config import MultitaskConfig
    from harness.workloads.multitask.planning.step_choice import StepChoice

SHAPES = (("small", 64, 16, 30), ("xception", 128, 8, 15))
"""Network, side in pixels, batch size, turns."""

SPEED_GOAL, MERGED_GOAL, EFFICIENCY_GOAL = 2.0, 1.5, 0.95


def missing() -> str:
    """Return what keeps this host from being measured; empty if nothing does."""
    try:
        import torch  # noqa: PLC0415
    except ImportError:
        return "PyTorch is not installed"
    if torch.version.cuda is None:
        return f"PyTorch {torch.__version__} is built for the processor alone"
    if not torch.cuda.is_available():
        return "CUDA finds no GPU that it can use"
    return ""


def report() -> Iterator[str]:
    """Yield all tables, or why there are none."""
    fault = missing()
    if fault:
        yield f"Not run, nothing was measured: this needs an NVIDIA GPU. {fault}."
        return
    import torch  # noqa: PLC0415

    from tests.benchmarks import nvml  # noqa: PLC0415

    name = torch.cuda.get_device_name()
    yield f"{name}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}"
    yield ""
    for shape in SHAPES:
        yield from step_rows(*shape)
    yield from efficiency_rows()
    yield from nvml.report()


def in_turn(
    steps: Sequence[Callable[[], object]], turns: int, clock: Callable[[], float]
) -> list[list[float]]:
    """Return the seconds of every step in each turn, after three that are not counted."""
    for step in (*steps, *steps, *steps):
        step()
    found = []
    for _ in range(turns):
        times = []
        for step in steps:
            start_s = clock()
            step()
            times.append(clock() - start_s)
        found.append(times)
    return found


def calibrated(model: str, size: int, batch_size: int) -> tuple[MultitaskConfig, StepChoice]:
    """Return a configuration on this host's GPU, and how its steps are executed, checked."""
    from harness.running.prepare import prepare_torch  # noqa: PLC0415
    from harness.running.target import resolve_target, settled  # noqa: PLC0415
    from harness.workloads.multitask.config import make_multitask_config  # noqa: PLC0415
    from harness.workloads.multitask.planning.step_check import Examiner, checked  # noqa: PLC0415
    from harness.workloads.multitask.planning.step_choice import StepChoice  # noqa: PLC0415
    from harness.workloads.multitask.planning.training_setup import TrainingSetup  # noqa: PLC0415
    from models.execution import parse_execution  # noqa: PLC0415
    from models.multitask.registry import architecture  # noqa: PLC0415
    from tests.benchmarks.load import default_store  # noqa: PLC0415

    config = make_multitask_config({"model": model, "size": size, "batch_size": batch_size})
    target = resolve_target(config)
    config = settled(config, target)
    prepare_torch(target.threads, config.kind_here)
    network = architecture(model)
    found = TrainingSetup(config, target, network).calibrate()
    choice = StepChoice(parse_execution(str(found["execution"])), target.threads, "auto", found)
    return config, checked(choice, Examiner(config, network, default_store(config)))


def step_rows(model: str, size: int, batch_size: int, turns: int) -> Iterator[str]:
    """Yield the rows of one network: speed over the plain loop, merged over single."""
    config, choice = calibrated(model, size, batch_size)
    yield f"{model} {size}×{size}, batch {batch_size}: as executed {choice.execution.text}"
    yield from (f"refused: {words}" for words in choice.refused)
    yield ""
    yield from head("over the plain loop", "ms median", "min", "median", "max", "goal")
    for tasks in (config.tasks, config.tasks[0]):
        plain_s, own_s = paired(config, [(tasks, "loop"), (tasks, choice.execution.text)], turns)
        gains = [p / o for p, o in zip(plain_s, own_s, strict=True)]
        goal = f"≥ {SPEED_GOAL}" if tasks == config.tasks else ""
        yield row(tasks, f"{1e3 * median(own_s):.2f}", *spread(gains, ".2f"), goal)
    ways = [(tasks, choice.execution.text) for tasks in (config.tasks, config.tasks[0])]
    merged_s, single_s = paired(config, ways, turns)
    ratios = [m / s for m, s in zip(merged_s, single_s, strict=True)]
    name = f"{config.tasks} over {config.tasks[0]}"
    yield row(name, "", *spread(ratios, ".2f"), f"≤ {MERGED_GOAL}")
    yield ""


def paired(
    config: MultitaskConfig, ways: Sequence[tuple[str, str]], turns: int
) -> list[list[float]]:
    """Return the seconds of steps of tasks in a way, or in the plain loop, taken in turn."""
    from harness.running.accelerator import settled_clock  # noqa: PLC0415
    from tests.benchmarks.steps import step_of  # noqa: PLC0415

    clock = settled_clock(config.kind_here, time.perf_counter)
    found = in_turn([step_of(config, tasks, way) for tasks, way in ways], turns, clock)
    return [list(those) for those in zip(*found, strict=True)]


def efficiency_rows() -> Iterator[str]:
    """Yield the share of the train phase that forward, backward and optimizer take."""
    from harness.running.accelerator import settled_clock  # noqa: PLC0415
    from harness.running.target import resolve_target, settled  # noqa: PLC0415
    from harness.workloads.multitask.config import MultitaskConfig  # noqa: PLC0415
    from harness.workloads.multitask.planning.data_way import (  # noqa: PLC0415
        DataWay,
        fill,
        source_brought,
    )
    from harness.workloads.multitask.training.feeding import KEPT  # noqa: PLC0415
    from tests.benchmarks.efficiency import efficiencies  # noqa: PLC0415
    from tests.benchmarks.load import default_store  # noqa: PLC0415

    config = MultitaskConfig()
    config = settled(config, resolve_target(config))
    clock = settled_clock(config.kind_here, time.monotonic)
    yield from head("efficiency of the train phase", "min", "median", "max", "goal")
    source = source_brought(default_store(config), DataWay(KEPT), config)
    fill(source, config.tasks)
    for tasks in (config.tasks, config.tasks[0]):
        found = efficiencies(replace(config, tasks=tasks), source, clock)
        yield row(f"plain steps, {tasks}", *spread(found), f"≥ {EFFICIENCY_GOAL}")
    yield ""
