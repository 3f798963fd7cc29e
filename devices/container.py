"""Say what a container hides from this program, and with which flag it is started to show it.

Runtimes put empty folders and /dev/null over paths of /proc and /sys ("masked paths"), give their
containers few devices, and none of the host's programs. Sources: the default masked paths of
containerd and moby (oci/defaults, /sys/firmware, /sys/devices/virtual/powercap, thermal_throttle),
docker-run(1), podman-run(1), the Kubernetes API's `procMount`, lxc.container.conf(5),
systemd-nspawn(1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devices.mounts import read_mounts
from devices.text_files import read_text
from devices.virtual import Runtime, find_runtime, find_virtualisation

HIDDEN_BOARD = "this container hides the device tree (/proc/device-tree), which names the board"
DEVICE_TREE = "/sys/firmware"
"""What has to be unmasked for /proc/device-tree, which is a link into it."""

_UNMASK: dict[Runtime, str] = {
    "docker": "--security-opt systempaths=unconfined",
    "podman": "--security-opt unmask={path}",
    "kubernetes": "securityContext.procMount: Unmasked (and hostUsers: false)",
    "lxc": "lxc.mount.entry = {path} {below} none bind,ro,create=dir 0 0",
    "nspawn": "--bind-ro={path}",
}
_MOUNT: dict[Runtime, str] = {
    "docker": "-v {path}:{path}:ro",
    "podman": "-v {path}:{path}:ro",
    "kubernetes": "a hostPath volume of {path} mounted read-only at {path}",
    "lxc": "lxc.mount.entry = {path} {below} none bind,ro,optional 0 0",
    "nspawn": "--bind-ro={path}",
}
_DEVICE: dict[Runtime, str] = {
    "docker": "--device {path}",
    "podman": "--device {path}",
    "kubernetes": "a hostPath volume of {path} and securityContext.privileged: true",
    "lxc": "lxc.mount.entry = {path} {below} none bind,create=file 0 0",
    "nspawn": "--bind={path}",
}
_GPUS: dict[Runtime, str] = {
    "docker": "--gpus all",
    "podman": "--device nvidia.com/gpu=all",
    "kubernetes": "resources.limits: nvidia.com/gpu: 1",
    "lxc": "lxc.hook.mount = /usr/share/lxc/hooks/nvidia",
    "nspawn": "--bind=/dev/nvidia0 --bind=/dev/nvidiactl",
}


@dataclass(frozen=True)
class Hidden:
    """Name something the container does not show, and the remedy."""

    what: str
    fix: str


@dataclass(frozen=True)
class Recipe:
    """Speak the words of the runtime that started a container."""

    runtime: Runtime

    def unmask(self, path: str) -> str:
        """Return the flag that takes an empty folder away from over a path of /proc or /sys."""
        return self._filled(_UNMASK, path)

    def mount(self, path: str) -> str:
        """Return the flag that shows a file or folder of the host, to be read only."""
        return self._filled(_MOUNT, path)

    def device(self, path: str) -> str:
        """Return the flag that shows a device of the host."""
        return self._filled(_DEVICE, path)

    def gpus(self) -> str:
        """Return the flag that shows NVIDIA GPUs with their driver's libraries."""
        return _GPUS[self.runtime]

    def _filled(self, flags: dict[Runtime, str], path: str) -> str:
        return flags[self.runtime].format(path=path, below=path.lstrip("/"))


def recipe(root: Path) -> Recipe | None:
    """Return the words for the container that `root` is in; None if it is in none."""
    return Recipe(find_runtime(root)) if find_virtualisation(root)[0] == "container" else None


def start_with(*flags: str) -> str:
    """Return the remedy that flags make up."""
    return f"start the container with {' and '.join(flags)}"


def hidden_from_here(root: Path, nameless_arm: bool) -> tuple[Hidden, ...]:
    """Return what the container hides that a measurement needs; nothing outside of one.

    Args:
        root: Root of the file system.
        nameless_arm: Whether the host is an Arm computer that tells no name, although a board's
            device tree would.
    """
    words = recipe(root)
    if words is None:
        return ()
    board = _hidden_board(words, nameless_arm)
    return (*board, *_masked_counters(root, words), *_hidden_modes(root, words))


def _hidden_board(words: Recipe, nameless_arm: bool) -> Iterator[Hidden]:
    if nameless_arm:
        yield Hidden(HIDDEN_BOARD, start_with(words.unmask(DEVICE_TREE)))


def _masked_counters(root: Path, words: Recipe) -> Iterator[Hidden]:
    """Look for a mount over the counters whose growth means that a processor was slowed down."""
    pattern = r"/sys/devices/system/cpu/cpu[0-9]+/thermal_throttle"
    for mount in read_mounts(root):
        if re.fullmatch(pattern, mount.place):
            what = "this container hides the processor's throttle counters (thermal_throttle)"
            yield Hidden(what, start_with(words.unmask(mount.place)))
            return


def _hidden_modes(root: Path, words: Recipe) -> Iterator[Hidden]:
    """Miss the power modes of a Jetson; its release is known from a mounted file or the kernel."""
    release = read_text(root / "proc/sys/kernel/osrelease") + read_text(root / "proc/version")
    jetson = (root / "etc/nv_tegra_release").exists() or "tegra" in release
    if jetson and not (root / "etc/nvpmodel.conf").exists():
        paths = ("/etc/nvpmodel.conf", "/var/lib/nvpmodel/status")
        what = "this container hides the board's power modes (/etc/nvpmodel.conf)"
        yield Hidden(what, start_with(*map(words.mount, paths)))
