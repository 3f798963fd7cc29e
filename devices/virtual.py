"""Tell a virtual machine and a container from a bare machine, and one container from another.

A container's runtime need not leave its name in one fixed place, so every place is looked at that
some runtime leaves a sign in; each sign is one that no bare machine shows. Sources: systemd's
src/basic/virt.c, the kernel's documents on control groups, and those of Docker, Podman, containerd,
Kubernetes, LXC, systemd-nspawn, BuildKit and Apptainer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from devices.mounts import Mount, read_mounts
from devices.text_files import first_processor, read_strings, read_text

VirtualKind = Literal["", "vm", "container"]
Runtime = Literal["docker", "podman", "kubernetes", "lxc", "nspawn"]

RUNTIMES = (
    r"docker|moby|overlay2/|containerd|containers/storage|libpod|podman|kubepods|kubelet|rancher"
    r"|cri-?o\b|buildkit|buildah|kaniko|lxc|lxd|incus|nspawn|machine\.slice|garden|/ecs/"
)
"""Names that runtimes give to control groups, layers and the folders of their containers."""

_MARKERS = (
    (".dockerenv", "/.dockerenv exists"),
    ("run/.containerenv", "/run/.containerenv exists"),
    (".singularity.d", "/.singularity.d exists"),
    (".flatpak-info", "/.flatpak-info exists"),
    ("dev/lxd/sock", "/dev/lxd/sock exists"),
    ("dev/incus/sock", "/dev/incus/sock exists"),
)
_ACCOUNT = "run/secrets/kubernetes.io/serviceaccount"
_GIVEN_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log")
"""Files that a runtime writes on the host and shows to its container."""

_LAYERED = ("overlay", "aufs", "fuse-overlayfs", "fuse.fuse-overlayfs")
_MACHINES = (
    "KVM", "OpenStack", "KubeVirt", "Amazon EC2", "QEMU", "VMware", "VMW", "innotek GmbH",
    "VirtualBox", "Xen", "Bochs", "Parallels", "BHYVE", "Hyper-V", "Apple Virtualization",
    "Google Compute Engine", "Alibaba Cloud ECS",
)  # fmt: skip
"""What firmware of virtual machines calls its maker or product."""

_KERNELS = {r"microsoft|WSL": "WSL", "linuxkit": "Docker Desktop", "orbstack": "OrbStack"}
"""Kernels that run in a virtual machine only."""


def find_virtualisation(root: Path) -> tuple[VirtualKind, str]:
    """Return the kind of virtualisation and what shows it; empty texts on bare metal."""
    # A container inside a VM is called a VM: no mount can bring back sensors the guest lacks.
    machine = _sign_of_machine(root)
    if machine:
        return "vm", machine
    container = next(_signs_of_container(root), "")
    return ("container", container) if container else ("", "")


def find_runtime(root: Path) -> Runtime:
    """Return what runs the container, by its signs; Docker's words where none of them tells."""
    signs = " ".join([*_signs_of_container(root), *_told(root)]).lower()
    patterns: dict[Runtime, str] = {
        "kubernetes": r"kube|serviceaccount|rancher",
        "podman": r"containerenv|libpod|podman|buildah|containers/storage",
        "lxc": r"lxc|lxd|incus",
        "nspawn": r"nspawn|machine\.slice",
    }
    return next((name for name, words in patterns.items() if re.search(words, signs)), "docker")


def _sign_of_machine(root: Path) -> str:
    """Return what shows a virtual machine; empty if nothing does."""
    if "hypervisor" in first_processor(read_text(root / "proc/cpuinfo")).get("flags", "").split():
        return "the processor reports a hypervisor"
    hypervisor = read_text(root / "sys/hypervisor/type")
    if hypervisor:
        return f"/sys/hypervisor/type says {hypervisor}"
    release = read_text(root / "proc/sys/kernel/osrelease") or read_text(root / "proc/version")
    for pattern, name in _KERNELS.items():
        if re.search(pattern, release):
            return f"the kernel is that of {name}"
    if (root / "proc/device-tree/hypervisor").is_dir():
        return "the device tree names a hypervisor"
    if "linux,dummy-virt" in read_strings(root / "proc/device-tree/compatible"):
        return "the device tree is that of a virtual machine"
    return _firmware_of_machine(root / "sys/class/dmi/id")


def _firmware_of_machine(folder: Path) -> str:
    """Return what firmware says of a virtual machine; clouds rent bare ones under one name too."""
    product = read_text(folder / "product_name")
    if product.endswith(".metal"):
        return ""
    for name in ("product_name", "sys_vendor", "board_vendor", "bios_vendor"):
        text = read_text(folder / name)
        if text.startswith(_MACHINES):
            return f"/sys/class/dmi/id/{name} says {text}"
    if product == "Virtual Machine":
        return "/sys/class/dmi/id/product_name says Virtual Machine"
    return ""


def _signs_of_container(root: Path) -> Iterator[str]:
    """Yield everything that shows a container."""
    yield from (sign for path, sign in _MARKERS if (root / path).exists())
    for place in (_ACCOUNT, f"var/{_ACCOUNT}"):
        if (root / place).is_dir():
            yield f"/{place} exists"
    for name, told in _told_places(root):
        if told:
            yield f"{name} says {told}"
    named = re.search(RUNTIMES, read_text(root / "proc/1/cgroup"))
    if named:
        yield f"/proc/1/cgroup names {named.group()}"
    mounts = read_mounts(root)
    yield from _signs_in_mounts(mounts)
    yield from _signs_of_namespaces(root, mounts)


def _told(root: Path) -> Iterator[str]:
    yield from (read_text(root / "run/.containerenv"), read_text(root / "proc/1/cgroup"))
    yield from (f"{mount.inside} {mount.options}" for mount in read_mounts(root)
                if mount.place == "/" or mount.place in _GIVEN_FILES)  # fmt: skip


def _told_places(root: Path) -> Iterator[tuple[str, str]]:
    """Yield where systemd or a runtime writes down what manages this container."""
    markers = ("run/systemd/container", "run/host/container-manager")
    told = {f"/{place}": read_text(root / place) for place in markers}
    # Only the first process: a variable of that name in somebody's shell says nothing.
    for variable in read_strings(root / "proc/1/environ"):
        name, _, value = variable.partition("=")
        if name == "container":
            told["the environment of process 1"] = value
        if name == "KUBERNETES_SERVICE_HOST":
            yield "the environment of process 1", "KUBERNETES_SERVICE_HOST"
    # systemd calls WSL a container; it is a virtual machine, and version 1 no machine at all.
    yield from ((place, text) for place, text in told.items() if text != "wsl")


def _signs_in_mounts(mounts: list[Mount]) -> Iterator[str]:
    """Yield what the layers of `/`, files given by a runtime, and mounted groups show."""
    shown: dict[str, Callable[[Mount], str]] = {
        "the layers of /": lambda m: m.options if m.place == "/" else "",
        "the folder of /": lambda m: m.inside if m.place == "/" else "",
        "a file of a runtime": lambda m: m.inside if m.place in _GIVEN_FILES else "",
        "a mounted control group": lambda m: m.inside if m.kind.startswith("cgroup") else "",
    }
    for what, text in shown.items():
        for mount in mounts:
            named = re.search(RUNTIMES, text(mount))
            if named:
                yield f"{what} names {named.group().strip('/')}"
                break
    if any(mount.kind == "fuse.lxcfs" and mount.place.startswith("/proc/") for mount in mounts):
        yield "lxcfs stands in for files of /proc"


def _signs_of_namespaces(root: Path, mounts: list[Mount]) -> Iterator[str]:
    """Yield what shows that the process sees a part of the system as if it were the whole.

    The kernel gives `cgroup.type` to every control group of version 2 but the topmost one. A root
    of layers alone is no sign: live systems and boards with a protected card have one too; there
    the kernel's own threads, whose father is process 2, are to be seen.
    """
    if read_text(root / "proc/1/cgroup") != "0::/":
        return
    if (root / "sys/fs/cgroup/cgroup.type").exists():
        yield "process 1 is at the top of the control groups, which is not the kernel's top"
    layered = any(mount.place == "/" and mount.kind in _LAYERED for mount in mounts)
    if layered and read_text(root / "proc/2/comm") != "kthreadd":
        yield "/ consists of layers, and the kernel's own threads are not to be seen"
