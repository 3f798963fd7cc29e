"""Set up what the meter benchmarks need: fake trees that live, busy cores, running collectors."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.benchmarks.player import parse_source

REPOSITORY = Path(__file__).parents[2]
ZONE = Path("sys/class/powercap/intel-rapl:0")
RANGE_UJ = 960_000_000
"""Half the energy of a cycle of every wave, so that each window of a cycle holds two wraps."""


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files below a root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def counter_tree(
    root: Path, shape: str, range_uj: int = RANGE_UJ, start_uj: int = 300_000_000
) -> str:
    """Make an Intel host with one package zone; return what the player needs to play it."""
    source = f"counter:{shape}:{range_uj}:{start_uj}"
    write(
        root,
        {
            "proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\n",
            f"{ZONE}/name": "package-0\n",
            f"{ZONE}/max_energy_range_uj": f"{range_uj}\n",
            f"{ZONE}/energy_uj": parse_source(source).text(0.0),
        },
    )
    return f"{root / ZONE / 'energy_uj'}={source}"


def sensor_tree(root: Path, shape: str, block_s: float) -> str:
    """Make a Jetson Orin Nano with its power monitor; return what the player needs to play it."""
    chip = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    source = f"sensor:{shape}:{block_s}"
    write(
        root,
        {
            "proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0",
            f"{chip}/name": "ina3221\n",
            f"{chip}/update_interval": "430\n",
            f"{chip}/in1_label": "VDD_IN\n",
            f"{chip}/in1_input": "5000\n",
            f"{chip}/curr1_input": parse_source(source).text(block_s),
        },
    )
    return f"{root / chip / 'curr1_input'}={source}"


def _module(name: str, *words: str, **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *words]
    return subprocess.Popen(command, cwd=REPOSITORY, **options)  # type: ignore[call-overload,no-any-return]


@contextlib.contextmanager
def playing(*sources: str) -> Iterator[float]:
    """Play into files and give the monotonic time at which the waves began."""
    origin_s = time.monotonic() + 1.0
    process = _module("player", repr(origin_s), *sources)
    try:
        time.sleep(2.0)
        if process.poll() is not None:
            raise RuntimeError("the player ended")
        yield origin_s
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Train on all cores in another process."""
    process = _module("load", stdout=subprocess.PIPE)
    try:
        if process.stdout is None or process.stdout.readline() != b"busy\n":
            raise RuntimeError("the training did not start")
        yield
    finally:
        process.terminate()
        process.wait()
