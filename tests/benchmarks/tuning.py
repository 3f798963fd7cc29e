"""Time the quick and the default run of `lora` as users start them, each in a process of its own.

Seconds of a clock hold on a quiet machine only; processor seconds and the peak hold anywhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from tests.benchmarks.rig import REPOSITORY
from tests.benchmarks.table import head, row

GOAL_MB = 1000
RUNS = (("quick", ("--quick",), 60), ("default", (), 300))
"""Name, options, and the most seconds on two quiet cores."""

COUNTING = """
import resource, runpy, sys
try:
    runpy.run_module("harness.run", run_name="__main__")
finally:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print("spent", usage.ru_utime + usage.ru_stime, usage.ru_maxrss, flush=True)
"""


@dataclass(frozen=True)
class Spent:
    """Hold what a run took: seconds, processor seconds, peak memory in MB."""

    time_s: float
    cpu_s: float
    peak_mb: float


def spent(*options: str) -> Spent:
    """Run the command in a process of its own, begun by a shell: peaks begin with the parent's.

    Raises:
        RuntimeError: if the run fails, with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="tuning-") as folder:
        words = ["--workload", "lora", "--out", folder, *options]
        start = time.monotonic()
        done = subprocess.run(
            ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", COUNTING, *words],
            cwd=REPOSITORY, capture_output=True, text=True, check=False,
            env={**os.environ, "COLUMNS": "80"},
        )  # fmt: skip
        taken = time.monotonic() - start
    found = re.search(r"spent (\S+) (\d+)", done.stdout)
    if done.returncode or not found:
        raise RuntimeError(done.stderr or done.stdout)
    return Spent(taken, float(found[1]), int(found[2]) * 1024 / 1e6)


def report() -> list[str]:
    """Return the table, report pages of the runs included."""
    lines = head("run", "s", "goal", "processor s", "peak MB", "goal")
    for name, options, goal in RUNS:
        found = spent(*options)
        lines.append(
            row(name, f"{found.time_s:.0f}", f"≤ {goal}", f"{found.cpu_s:.0f}",
                f"{found.peak_mb:.0f}", f"< {GOAL_MB}")
        )  # fmt: skip
    return lines
