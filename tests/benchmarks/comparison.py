"""Let CodeCarbon and Zeus read the same fake powercap tree as this project, at the same time.

The tree is put at /sys/class/powercap inside a private mount namespace, which needs root. All three
measure at the same time, with all cores busy training. Only tools that are installed take part.

CodeCarbon's tasks read the counter at their two ends alone, so they lose all wraps but one; a true
counter wraps after 43 minutes at 100 W. Zeus takes every top zone for a processor, psys too.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks.rig import REPOSITORY, ZONE, busy_cores, counter_tree, playing, write
from tests.benchmarks.table import head, row, spread
from tests.benchmarks.waves import WAVES

TOOLS = {"ours": "devices", "codecarbon": "codecarbon", "zeus": "zeus"}
WINDOWS = 3
WINDOW_S = 10.0
STEPS = next(wave for wave in WAVES if wave.shape == "steps")

INSIDE = """
set -e
mount --make-rprivate /
real=$(mktemp -d -p "$2")
mount --bind /sys/class $real
mount -t tmpfs tmpfs /sys/class
for folder in $real/*; do
    name=$(basename $folder)
    mkdir /sys/class/$name
    [ $name = powercap ] || mount --bind $folder /sys/class/$name
done
mkdir -p /sys/class/powercap
mount --bind "$1" /sys/class/powercap
shift 2
exec "$@"
"""
"""A directory cannot be made in sysfs, so its classes are bound into a new one beside ours."""

CASES: dict[str, dict[str, Any]] = {
    "one package": {},
    "the counter wraps every 5 s": {"range_uj": 400_000_000},
    "psys beside the package": {"psys": True},
}


def report() -> list[str]:
    """Measure every case with every tool; takes about two minutes and a half."""
    absent = [name for name, module in TOOLS.items() if find_spec(module) is None]
    lines = [f"{name}: not installed (make bench-tools)" for name in absent]
    refusal = _namespace_refusal()
    if refusal:
        return [*lines, f"no private mount namespace here: {refusal}"]
    tools = [name for name in TOOLS if name not in absent]
    lines += [f"windows of {WINDOW_S:g} s, steps every 50 ms, all cores busy", ""]
    lines += head(
        "case", "tool", "error % min", "median", "max", "CPU ms per s", "set-up s", "set-up CPU s"
    )
    with busy_cores():
        for case, options in CASES.items():
            lines += _rows(case, options, tools)
    return lines


def _namespace_refusal() -> str:
    """Say why this process may not have a mount namespace of its own; empty if it may."""
    command = ["unshare", "--mount", "sh", "-c", "mount --make-rprivate /"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"unshare: {error.strerror}"
    return "" if done.returncode == 0 else done.stderr.strip()


def _rows(case: str, options: Mapping[str, Any], tools: Sequence[str]) -> list[str]:
    with (
        tempfile.TemporaryDirectory(prefix="powercap-") as folder,
        _tree(Path(folder), options) as origin_s,
    ):
        told = _measured(tools, Path(folder) / ZONE.parent)
    lines = []
    for name in tools:
        if isinstance(told[name], str):
            lines.append(row(case, name, f"failed: {told[name]}", *[""] * 5))
            continue
        lines.append(row(case, name, *_figures(told[name], origin_s)))
    return lines


@contextlib.contextmanager
def _tree(root: Path, options: Mapping[str, Any]) -> Iterator[float]:
    """Play into a tree with the links by which each tool finds its way."""
    range_uj = int(options.get("range_uj", 262_143_328_850))
    sources = [counter_tree(root, STEPS.shape, range_uj)]
    zones = ["intel-rapl:0"]
    if options.get("psys"):
        # psys covers the package and more; here it moves as the package does.
        other = counter_tree(root / "other", STEPS.shape, range_uj)
        place = root / ZONE.parent / "intel-rapl:1"
        (root / "other" / ZONE).rename(place)
        write(place, {"name": "psys\n"})
        sources.append(other.replace(str(root / "other" / ZONE), str(place)))
        zones.append("intel-rapl:1")
    control = root / ZONE.parent / "intel-rapl"
    control.mkdir()
    for zone in zones:
        (control / zone).symlink_to(Path("..") / zone)
    (control / "subsystem").symlink_to("..")
    with playing(*sources) as origin_s:
        yield origin_s


def _measured(tools: Sequence[str], powercap: Path) -> dict[str, Any]:
    """Run all tools at the same time; a text says why one failed."""
    scratch = str(powercap.parent)
    namespace = ["unshare", "--mount", "bash", "-c", INSIDE, "bash", str(powercap), scratch]
    inside = [*namespace, sys.executable]
    running = {
        name: subprocess.Popen(
            [*inside, "-m", "tests.benchmarks.contestants", name, str(WINDOWS), str(WINDOW_S)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        for name in tools
    }
    told: dict[str, Any] = {}
    for name, process in running.items():
        out, errors = process.communicate()
        lines = out.decode().splitlines()
        if process.returncode == 0 and lines:
            told[name] = json.loads(lines[-1])
        else:
            told[name] = (errors.decode().splitlines() or ["no message"])[-1]
    return told


def _figures(told: Mapping[str, Any], origin_s: float) -> list[str]:
    errors, cpu_s, passed_s = [], 0.0, 0.0
    for window in told["windows"]:
        start_s, end_s = window["start_s"] - origin_s, window["end_s"] - origin_s
        true_j = STEPS.energy_j(end_s) - STEPS.energy_j(start_s)
        if window["energy_j"] is not None:
            errors.append(100.0 * (window["energy_j"] / true_j - 1.0))
        cpu_s += window["cpu_s"]  # in ticks of 10 ms, so that only the sum tells
        passed_s += end_s - start_s
    return [
        *spread(errors, "+.3f"),
        f"{1000.0 * cpu_s / passed_s:.2f}",
        f"{told['setup_s']:.2f}",
        f"{told['setup_cpu_s']:.2f}",
    ]
