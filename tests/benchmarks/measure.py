"""Measure one command with `harness.measure`, hyperfine, CodeCarbon and Zeus.

First in pairs with hyperfine, each in turn, with the simulated meter: how long the command itself
takes under either, and what either adds to it. Then with CodeCarbon and Zeus, one after the other,
on a fake powercap tree that is played in real time (a private mount namespace, as root): how far
their joules are from the closed form. Only tools that are installed take part; hyperfine is in
Debian's own packages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks.comparison import INSIDE, STEPS, _namespace_refusal, _tree
from tests.benchmarks.rig import REPOSITORY, ZONE
from tests.benchmarks.table import head, row, spread

PAIRS = 15
RUNS = 6
COMMAND = [sys.executable, "-S", "-c", "sum(range(12_000_000))"]
"""Some tenths of a second of one core, without a file or a process of its own."""

RATED = [sys.executable, "-S", "-c", "import time; time.sleep(2.3)"]
"""Long enough for CodeCarbon, which looks at a counter once a second."""

OTHERS = {"codecarbon": "codecarbon", "zeus": "zeus"}

CODECARBON = """
import json, subprocess, sys, time
from codecarbon import OfflineEmissionsTracker
tracker = OfflineEmissionsTracker(country_iso_code="DEU", measure_power_secs=1,
                                  save_to_file=False, log_level="error")
tracker.start()
start_s = time.monotonic(); subprocess.run(sys.argv[1:]); end_s = time.monotonic()
tracker.stop()
joules = tracker.final_emissions_data.cpu_energy * 3.6e6
print(json.dumps({"start_s": start_s, "end_s": end_s, "energy_j": joules}))
"""
ZEUS = """
import json, subprocess, sys, time
from zeus.monitor import ZeusMonitor
monitor = ZeusMonitor(gpu_indices=[])
monitor.begin_window("command")
start_s = time.monotonic(); subprocess.run(sys.argv[1:]); end_s = time.monotonic()
told = monitor.end_window("command").cpu_energy
print(json.dumps({"start_s": start_s, "end_s": end_s, "energy_j": sum(told.values())}))
"""
OURS = """
import json, sys, time
from harness.measurement import Measurement
import subprocess
with Measurement(meter="rapl", rate_hz=10) as session:
    with session.phase("command"):
        start_s = time.monotonic(); subprocess.run(sys.argv[1:]); end_s = time.monotonic()
cost = session.phases["command"]
print(json.dumps({"start_s": start_s, "end_s": end_s, "energy_j": cost.energy_j,
                  "error_j": cost.error_j}))
"""
PROGRAMS = {"ours": OURS, "codecarbon": CODECARBON, "zeus": ZEUS}
"""How each tool measures a command in code; codecarbon and zeus have no other way offline."""


def report() -> list[str]:
    """Return both tables; takes about two minutes."""
    return [*_pairs(), "", *_known_power()]


def _pairs() -> list[str]:
    if shutil.which("hyperfine") is None:
        return ["hyperfine: not installed (apt-get install hyperfine)"]
    ours, theirs = [], []
    for _ in range(PAIRS):
        theirs.append(_hyperfine())
        ours.append(_ours())
    ratios = [a["time_s"] / b["time_s"] for a, b in zip(ours, theirs, strict=True)]
    added = [a["added_s"] for a in ours]
    lines = [f"{PAIRS} pairs, one after the other", ""]
    lines += head("figure", "min", "median", "max")
    lines.append(row("command's time here / under hyperfine", *spread(ratios)))
    lines.append(row("harness.measure beside the command, s", *spread(added)))
    lines.append(row("its processor seconds", *spread([a["cpu_s"] for a in ours])))
    lines.append(row("hyperfine beside the command, s", *spread([b["added_s"] for b in theirs])))
    return lines


def _timed(words: Sequence[str]) -> tuple[float, float]:
    """Run a program and return its seconds and the processor seconds of it and its children."""
    before, start_s = os.times(), time.monotonic()
    subprocess.run(words, cwd=REPOSITORY, check=True, capture_output=True)
    after, end_s = os.times(), time.monotonic()
    spent_s = after.children_user + after.children_system
    return end_s - start_s, spent_s - before.children_user - before.children_system


def _hyperfine() -> dict[str, float]:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = " ".join(f"'{word}'" for word in COMMAND)
        words = ["hyperfine", "--shell=none", "--style=none", "--warmup=1", "--runs=2"]
        wall_s, _ = _timed([*words, "--export-json", file.name, command])
        found = json.loads(Path(file.name).read_text())["results"][0]
    return {"time_s": min(found["times"]), "added_s": wall_s - 3 * found["mean"]}


def _ours() -> dict[str, float]:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        words = [sys.executable, "-m", "harness.measure", "--meter", "simulated", "--no-results"]
        words += ["--warmup", "1", "--repeat", "2", "--json", file.name, "--", *COMMAND]
        wall_s, cpu_s = _timed(words)
        found = json.loads(Path(file.name).read_text())
    runs = found["runs"]
    return {
        "time_s": min(run["time_s"] for run in runs),
        "added_s": wall_s - 3 * found["time_s"],
        "cpu_s": cpu_s - 3 * found["cpu_s"],
    }


def _known_power() -> list[str]:
    refusal = _namespace_refusal()
    if refusal:
        return [f"no private mount namespace here: {refusal}"]
    absent = [name for name, module in OTHERS.items() if find_spec(module) is None]
    lines = [f"{name}: not installed (make bench-tools)" for name in absent]
    lines += [f"a command of 2.3 s, {RUNS} times each, steps of power every 50 ms", ""]
    lines += head("tool", "error % min", "median", "max", "beside the command, s", "figures")
    with (
        tempfile.TemporaryDirectory(prefix="powercap-") as folder,
        _tree(Path(folder), {}) as origin_s,
    ):
        for name in PROGRAMS:
            if name not in absent:
                lines.append(_row(name, Path(folder) / ZONE.parent, origin_s))
    return lines


def _row(name: str, powercap: Path, origin_s: float) -> str:
    errors, added = [], []
    for _ in range(RUNS):
        found = _measured(name, powercap)
        if isinstance(found, str):
            return row(name, f"failed: {found}", *[""] * 4)
        start_s, end_s = found["start_s"] - origin_s, found["end_s"] - origin_s
        true_j = STEPS.energy_j(end_s) - STEPS.energy_j(start_s)
        added.append(found["wall_s"] - (end_s - start_s))
        if found["energy_j"] is not None:
            errors.append(100.0 * (found["energy_j"] / true_j - 1.0))
    return row(name, *spread(errors, "+.3f"), spread(added, ".2f")[1], f"{len(errors)}/{RUNS}")


def _measured(name: str, powercap: Path) -> dict[str, Any] | str:
    """Measure the command once; a text says why that failed."""
    namespace = ["unshare", "--mount", "bash", "-c", INSIDE, "bash", str(powercap)]
    words = [*namespace, str(powercap.parent), sys.executable, "-c", PROGRAMS[name], *RATED]
    begun_s = time.monotonic()
    done = subprocess.run(
        words, cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    wall_s = time.monotonic() - begun_s
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return (done.stderr.splitlines() or ["no message"])[-1]
    return {**json.loads(lines[-1]), "wall_s": wall_s}
