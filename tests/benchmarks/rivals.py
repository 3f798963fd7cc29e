"""Time federated rounds here and in what a user would pick instead, in turn, in one run.

`make bench-rivals` puts the others into environments of their own, which borrow torch from the
project's. One that is not there is named and left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from devices.host import usable_cores
from tests.benchmarks.rig import REPOSITORY
from tests.benchmarks.table import head, row, spread

TURNS = 3
ROUNDS = 5
FIRST = 1
"""Rounds of each turn that are not counted: workers start, caches fill."""

NAMES = {
    "ours": ("this project", ()),
    "flower": ("Flower's simulation, CodeCarbon around it", ("flwr", "ray", "codecarbon")),
    "pfl": ("pfl-research's simulator", ("pfl",)),
}
"""Name → title, modules it needs."""


def python_of(name: str) -> str | None:
    """Return the interpreter that has what a simulator needs; None if there is none."""
    own = REPOSITORY / ".venv-rivals" / name / "bin" / "python"
    for python in (os.environ.get(f"PYTHON_{name.upper()}", ""), str(own), sys.executable):
        modules = ", ".join(("sys", *NAMES[name][1]))
        if python and Path(python).exists() and _runs(python, f"import {modules}"):
            return python
    return None


def _runs(python: str, code: str) -> bool:
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def rounds_s(python: str, name: str, threads: int) -> list[float] | str:
    """Return the counted seconds of the rounds of one simulator, or why there are none."""
    words = [python, "-m", "tests.benchmarks.simulators", name, str(ROUNDS + FIRST), str(threads)]
    environment = {
        **os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(REPOSITORY),
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "FLWR_TELEMETRY_ENABLED": "0",
    }  # fmt: skip
    done = subprocess.run(
        words, cwd=REPOSITORY, capture_output=True, text=True, check=False, env=environment
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return (done.stderr.splitlines() or ["no message"])[-1]
    return [float(value) for value in json.loads(lines[-1])][FIRST:]


def report() -> list[str]:
    """Return the table: seconds of a round, and its ratio to the median here of the same turn."""
    threads = usable_cores()
    pythons = {name: python_of(name) for name in NAMES}
    absent = [name for name, python in pythons.items() if python is None]
    lines = [f"{NAMES[name][0]}: not installed (make bench-rivals)" for name in absent]
    times: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    for _ in range(TURNS):
        here = 0.0
        for name, python in pythons.items():
            found = rounds_s(python, name, threads) if python else []
            if isinstance(found, str):
                lines.append(f"{NAMES[name][0]}: failed: {found}")
                continue
            here = median(found) if name == "ours" else here
            times.setdefault(name, []).extend(found)
            ratios.setdefault(name, []).extend(seconds / here for seconds in found if here)
    lines += [f"default data and network, merged sdnkt, 4 of 16 clients, {threads} threads", ""]
    lines += head("simulator", "round s min", "median", "max", "over ours min", "median", "max")
    for name, values in times.items():
        if values:
            lines.append(row(NAMES[name][0], *spread(values), *spread(ratios[name], ".2f")))
    return lines
