"""Time merged training steps with freed memory kept and handed back, in turn, and count faults.

Either kind runs in processes of its own: what the C library was told holds for all of a process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from statistics import median

import torch

from devices.host import usable_cores
from harness.running.allocator import keep_freed_memory
from tests.benchmarks.load import seconds, training_step
from tests.benchmarks.rig import REPOSITORY
from tests.benchmarks.table import head, row, spread

PAIRS, WARM_UP, STEPS = 7, 20, 150


def timed(kind: str) -> tuple[float, float, float]:
    """Return a step's median seconds, its page faults, and the peak in MB, of a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.allocator", kind],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    step_s, faults, peak_mb = json.loads(done.stdout)
    return step_s, faults, peak_mb


def report() -> list[str]:
    """Return the table; a ratio is of two processes that ran one after the other."""
    pairs = [(timed("keep"), timed("hand-back")) for _ in range(PAIRS)]
    gains = [kept[0] / handed[0] for kept, handed in pairs]
    lines = [f"merged step of the default run, {STEPS} steps a process, {PAIRS} pairs", ""]
    lines += head("memory kept over handed back", "min", "median", "max")
    lines.append(row("seconds of a step, kept over handed back", *spread(gains, ".2f")))
    for index, name in enumerate(("kept", "handed back")):
        lines.append(
            row(f"page faults a step, {name}", *spread([p[index][1] for p in pairs], ".0f"))
        )
        lines.append(row(f"peak MB, {name}", *spread([p[index][2] for p in pairs], ".0f")))
    return lines


def main() -> None:
    """Print the figures of one kind as JSON."""
    torch.set_num_threads(usable_cores())
    torch.set_flush_denormal(True)
    if sys.argv[1] == "keep":
        keep_freed_memory()
    step = training_step()
    for _ in range(WARM_UP):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    times = [seconds(step) for _ in range(STEPS)]
    after = resource.getrusage(resource.RUSAGE_SELF)
    faults = (after.ru_minflt - before) / STEPS
    print(json.dumps([median(times), faults, after.ru_maxrss * 1024 / 1e6]))


if __name__ == "__main__":
    main()
