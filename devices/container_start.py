"""Write the whole line that starts this program's container so that it sees a board's sensors.

What each flag is for: devices/container.py. No board was at hand: the flags follow the sources
named there and the files that each meter reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from devices.container import DEVICE_TREE, Recipe
from devices.host import Host
from devices.virtual import find_runtime

IMAGE = "mas-edge-harness"
POWERCAP = "/sys/devices/virtual/powercap"
JETSON_FILES = ("/etc/nv_tegra_release", "/etc/nvpmodel.conf", "/var/lib/nvpmodel/status")


def _x86(words: Recipe) -> list[str]:
    """Show the processor's counters, which newer runtimes mask; only root may read them."""
    return [words.unmask(POWERCAP), words.mount(POWERCAP)]


def _jetson(words: Recipe) -> list[str]:
    """Show rails, clocks and temperatures (files of /sys), the board's name, its power modes."""
    return [words.unmask(DEVICE_TREE), words.mount("/sys"), *map(words.mount, JETSON_FILES)]


def _raspberry_pi(words: Recipe) -> list[str]:
    """Show the board's name, and the firmware with the program that asks it for watts."""
    flags = [words.unmask(DEVICE_TREE), words.device("/dev/vcio")]
    return [*flags, words.mount("/usr/bin/vcgencmd")]


BOARDS: Mapping[str, Callable[[Recipe], list[str]]] = {
    "x86 with RAPL": _x86,
    "Jetson": _jetson,
    "Raspberry Pi": _raspberry_pi,
}
"""Kinds of boards whose sensors a container can be shown, and the flags that show them."""


def start_line(board: str, runtime: str = "docker", command: str = "doctor") -> str:
    """Return what is typed on the board to start a command in the container.

    Args:
        board: One of `BOARDS`.
        runtime: "docker" or "podman"; others are not started by a line.
        command: Words for `edge-harness`.
    """
    flags = BOARDS[board](Recipe("podman" if runtime == "podman" else "docker"))
    return " ".join([runtime, "run --rm -it", *flags, '-v "$PWD:/data"', IMAGE, command])


def start_lines(host: Host, root: Path = Path("/")) -> dict[str, str]:
    """Return the line for each kind of board this host may be; nothing outside a container.

    A container that hides the device tree may be on a Jetson or on a Raspberry Pi. Kubernetes, LXC
    and nspawn are set up by files: each thing they hide has its own remedy.
    """
    if host.virtual != "container":
        return {}
    runtime = find_runtime(root)
    if runtime not in ("docker", "podman"):
        return {}
    return {board: start_line(board, runtime) for board in _boards(host)}


def _boards(host: Host) -> list[str]:
    if host.arch in ("x86_64", "amd64"):
        return ["x86 with RAPL"]
    told = " ".join([host.family, host.model, *host.compatible]).lower()
    named = {"Jetson": ("nvidia", "jetson", "tegra"), "Raspberry Pi": ("raspberry",)}
    found = [board for board, words in named.items() if any(word in told for word in words)]
    hidden = host.arch in ("aarch64", "arm64") and not host.compatible
    return found or (list(named) if hidden else [])
