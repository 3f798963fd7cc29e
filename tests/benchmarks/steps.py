"""Time training steps as this host's calibration executes them against the plain fp32 eager loop.

The plain loop is what one writes first: weights and images in torch's default layout, fp32, the
losses of all tasks summed and sent back at once, torch's default SGD. Steps are timed in turn in
one run. Peak memory is taken in a process of its own for each kind of step.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import torch

from harness.running.target import resolve_target
from harness.workloads.multitask.config import MultitaskConfig, make_multitask_config
from harness.workloads.multitask.planning.plan import build_for, random_batch, random_step
from harness.workloads.multitask.planning.step_timing import bf16_supported
from harness.workloads.multitask.planning.training_setup import TrainingSetup
from models.execution import PLAIN, Execution, parse_execution
from models.multitask.registry import architecture
from tests.benchmarks.load import seconds, use_all_cores
from tests.benchmarks.rig import REPOSITORY
from tests.benchmarks.table import head, row, spread

SHAPES = (("small", 64, 8, 30), ("small", 128, 8, 12), ("xception", 64, 8, 10),
          ("xception", 128, 4, 6))  # fmt: skip
"""Network, side in pixels, batch size, turns."""

GOALS = {"small": 1.5, "xception": 2.5}
MEMORY_SHAPE = ("xception", 256, 4)

Step = Callable[[], object]


def plain_step(config: MultitaskConfig, tasks: str) -> Step:
    """Return a step of the plain loop."""
    net = build_for(architecture(config.model), tasks, config, PLAIN)
    net.execute_as(Execution(memory_format="contiguous"))
    images, targets = random_batch(tasks, config.batch_size, config.size)
    images = images.contiguous().to(net.device)
    targets = {task: target.to(net.device) for task, target in targets.items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        predictions = net(images)
        losses = [net.loss(task, predictions[task], targets[task]) for task in tasks]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def step_of(config: MultitaskConfig, tasks: str, way: str) -> Step:
    """Return a step executed in a way, or in the plain loop."""
    if way == "loop":
        return plain_step(config, tasks)
    net = build_for(architecture(config.model), tasks, config, parse_execution(way))
    return random_step(net, config)


def in_turn(steps: Sequence[Step], turns: int) -> list[list[float]]:
    """Return the seconds of every step in each turn, after two that are not counted."""
    for step in (*steps, *steps):
        step()
    return [[seconds(step) for step in steps] for _ in range(turns)]


def speed_rows(model: str, size: int, batch_size: int, turns: int) -> Iterator[str]:
    """Yield the rows of one network and size."""
    config = make_multitask_config({"model": model, "size": size, "batch_size": batch_size})
    found = TrainingSetup(config, resolve_target(config), architecture(model)).calibrate()
    chosen = str(found["execution"])
    threads = torch.get_num_threads()
    ways = ["loop", PLAIN.text, chosen]
    if bf16_supported():
        ways.append("bf16+channels-last+fused")
    ways = list(dict.fromkeys(ways))
    busy = found["foreign_cores"]
    yield f"{model} {size}×{size}, batch {batch_size}: calibrated {chosen},"
    yield f"{found['threads']} threads; other programs' work {busy or 0.0:.2f} cores"
    yield ""
    yield from head("step over the plain loop's", "images/s median", "min", "median", "max", "goal")
    for tasks in (config.tasks, config.tasks[0]):
        times = in_turn([step_of(config, tasks, way) for way in ways], turns)
        for index, way in enumerate(ways):
            rate = batch_size / median(t[index] for t in times)
            gains = [t[0] / t[index] for t in times]
            goal = f"≥ {GOALS[model]} with bf16 units, else ≥ 1" if way == chosen else ""
            if model == "xception" and way == chosen and len(tasks) > 1:
                goal += "; merged ≥ 1.3"
            yield row(f"{tasks}: {way}", f"{rate:.1f}", *spread(gains, ".2f"), goal)
    torch.set_num_threads(threads)
    yield ""


def memory_rows() -> Iterator[str]:
    """Yield peak memory of merged steps over the largest single task's, and of the plain loop."""
    model, size, batch_size = MEMORY_SHAPE
    yield f"{model} {size}×{size}, batch {batch_size}: memory one step adds at its peak"
    yield ""
    yield from head("step", "MB", "over the largest single task's", "goal")
    way = PLAIN.text
    tasks = MultitaskConfig().tasks
    single = max(peak_mb(task, way) for task in tasks)
    yield row("largest single task, plain step", f"{single:.0f}", "1.00", "")
    for name, kind in (("merged, decoder by decoder", way), ("merged, plain loop", "loop")):
        merged = peak_mb(tasks, kind)
        goal = "≤ 1.3" if kind == way else ""
        yield row(f"{tasks} {name}", f"{merged:.0f}", f"{merged / single:.2f}", goal)


def peak_mb(tasks: str, way: str) -> float:
    """Return what two steps add to a fresh process at their peak."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.steps", tasks, way],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def own_peak_mb() -> float:
    """Return the peak resident memory of this process so far."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) * 1024 / 1e6 if found else float("nan")


def report() -> Iterator[str]:
    """Yield all tables."""
    use_all_cores()
    for shape in SHAPES:
        yield from speed_rows(*shape)
    yield from memory_rows()


def main(tasks: str, way: str) -> None:
    """Print the memory that two steps add to this process."""
    use_all_cores()
    model, size, batch_size = MEMORY_SHAPE
    config = make_multitask_config({"model": model, "size": size, "batch_size": batch_size})
    architecture(model)
    before = own_peak_mb()
    step = step_of(config, tasks, way)
    step()
    step()
    print(own_peak_mb() - before)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
