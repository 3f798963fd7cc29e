"""Measure the peak memory of the default run, as the kernel counts it for a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

from tests.benchmarks.rig import REPOSITORY
from tests.benchmarks.table import head, row

GOAL_MB = 1000
ROUNDS = "2"

COUNTING = """
import resource, runpy, sys
try:
    runpy.run_module("harness.run", run_name="__main__")
finally:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print("peak_kb", usage.ru_maxrss, flush=True)
"""


def peak_mb(*options: str) -> float:
    """Run the command with options in a process of its own and return its peak memory.

    A shell starts it: the kernel's count of a process begins with the memory of who started it.
    """
    with tempfile.TemporaryDirectory(prefix="memory-") as folder:
        words = ["--rounds", ROUNDS, "--idle-s", "0", "--meter", "none", "--out", folder]
        done = subprocess.run(
            ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", COUNTING, *words,
             "--no-report", *options],
            cwd=REPOSITORY, capture_output=True, text=True, check=False,
            env={**os.environ, "COLUMNS": "80"},
        )  # fmt: skip
    found = re.search(r"peak_kb (\d+)", done.stdout)
    if done.returncode or not found:
        raise RuntimeError(done.stderr or done.stdout)
    return int(found[1]) * 1024 / 1e6


def report() -> list[str]:
    """Return the table; rounds are fewer than in a run, as memory does not grow with them."""
    lines = head("run", "peak MB", "goal")
    for name, options in (
        ("default, all methods, plain steps", ("--step", "plain")),
        ("default, all methods, calibrated here", ("--step", "auto", "--calibrate")),
        ("default for a Jetson Nano", ("--step", "plain", "--device", "jetson-nano")),
    ):
        lines.append(row(name, f"{peak_mb(*options):.0f}", f"< {GOAL_MB}"))
    return lines
