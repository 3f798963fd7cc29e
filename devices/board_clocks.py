"""Read the limits that clocks may move within, and the fan: what a power mode sets and heat lowers.

Sources: the kernel's documents on cpufreq, devfreq and hwmon; on Jetson the memory clock stands in
debugfs, which only root may read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from devices.host import read_text

_CORES = "sys/devices/system/cpu/cpu[0-9]*/cpufreq"
_MEMORY = (
    "sys/kernel/debug/bpmp/debug/clk/emc/rate",  # Jetson, JetPack 4 to 7
    "sys/kernel/debug/clk/emc/clk_rate",
)
_FANS = ("sys/devices/platform/pwm-fan*/hwmon/hwmon*/pwm1", "sys/class/hwmon/hwmon*/pwm1")


def read_clock_limits(root: Path = Path("/")) -> dict[str, int]:
    """Return the least and greatest clocks allowed, in Hz; what the host does not show is left out.

    Keys: `cpu_min_hz`, `cpu_max_hz` over all cores, `gpu_min_hz`, `gpu_max_hz` of a board's GPU,
    `memory_hz` of the memory at this moment.
    """
    folders = [f for f in sorted(root.glob("sys/class/devfreq/*")) if is_gpu(f.name)]
    memory = [hz for name in _MEMORY for hz in _numbers([root / name])]
    found = {
        "cpu_min_hz": min(_kilo(root, "scaling_min_freq"), default=None),
        "cpu_max_hz": max(_kilo(root, "scaling_max_freq"), default=None),
        "gpu_min_hz": min(_numbers(f / "min_freq" for f in folders), default=None),
        "gpu_max_hz": max(_numbers(f / "max_freq" for f in folders), default=None),
        "memory_hz": memory[0] if memory else None,
    }
    return {name: hz for name, hz in found.items() if hz is not None}


def read_fan(root: Path = Path("/")) -> int | None:
    """Return the setting of the fastest fan, 0 to 255; None if there is none to be seen."""
    return max((pwm for place in _FANS for pwm in _numbers(root.glob(place))), default=None)


def is_gpu(name: str) -> bool:
    """Say whether a folder of the devfreq tree is a Jetson's GPU."""
    return re.search(r"gpu|\.g[a-z][0-9]{2}b$", name) is not None


def _kilo(root: Path, name: str) -> list[int]:
    """Return the clocks of all cores; cpufreq tells them in kHz, devfreq in Hz."""
    return [1000 * khz for khz in _numbers(root.glob(f"{_CORES}/{name}"))]


def _numbers(paths: Iterable[Path]) -> list[int]:
    texts = (read_text(path) for path in paths)
    return [int(text) for text in texts if re.fullmatch(r"[0-9]{1,15}", text)]
