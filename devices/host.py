"""Find out what this host is: board, processor, memory, virtualisation, thermal state.

Everything is read from files under an injected root; a file that is missing or makes no sense gives
None or an empty text, never a guess.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from devices.container import HIDDEN_BOARD, Hidden, hidden_from_here
from devices.control_groups import allowed_cpus, quota_cores
from devices.text_files import (
    first_processor,
    parse_cpu_list,
    read_integer,
    read_strings,
    read_text,
)
from devices.thermal_zones import hottest_c
from devices.virtual import VirtualKind, find_virtualisation

__all__ = [
    "Host", "HostMatch", "HostState", "arch_of_tree", "detect",
    "find_virtualisation", "match_strength", "parse_cpu_list", "read_state", "read_text",
    "usable_cores",
]  # fmt: skip

HERE = Path("/")
_FAMILIES = {r"tegra": "NVIDIA Jetson", r"\brpi\b|\braspi\b|-v8\+": "Raspberry Pi"}
"""What kernels of boards are called whose device tree says which board it is."""

SERIAL_FILES = (
    "sys/firmware/devicetree/base/serial-number", "sys/class/dmi/id/product_serial",
    "sys/class/dmi/id/board_serial", "sys/class/dmi/id/product_uuid", "etc/machine-id",
)  # fmt: skip
"""Files with a number that names this one board."""


@dataclass(frozen=True)
class HostMatch:
    """Say how a host is recognised: shell patterns, tried in the order of the fields.

    `gpu` does not stand alone: a host must have one of these vendors' GPUs besides its `arch`.
    """

    compatible: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    arch: tuple[str, ...] = ()
    gpu: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostState:
    """Hold what may change during a run and spoil it.

    Attributes:
        governor: Frequency governor of the first core; empty if unreadable.
        temperature_c: Hottest plausible thermal zone in °C; None if none is readable.
        throttle_counters: Counters whose growth means throttling, by name.
    """

    governor: str
    temperature_c: float | None
    throttle_counters: dict[str, int]


@dataclass(frozen=True)
class Host:
    """Describe the host.

    Attributes:
        arch: Machine architecture, such as x86_64 or aarch64.
        model: Board or product name; empty if unknown.
        compatible: Device-tree compatible strings, most specific first.
        cpu_model: Processor name; on ARM boards the device-tree model.
        cpu_vendor: Vendor string of the first core on x86.
        cores_online: Cores the kernel runs; None if unknown.
        cores_usable: Cores this process may use.
        memory_bytes: Memory the kernel manages; None if unknown.
        kernel: Kernel release; empty if unknown.
        virtual: "vm" or "container" if the host is one, otherwise empty.
        virtual_reason: What shows it.
        state: Governor, temperature and throttle counters now.
        gpus: Vendors of discrete GPUs whose presence matters: "nvidia".
        cores_present: Cores the board has, switched on or off; None if unknown.
        features: What an Arm processor says it can do, such as `asimd` and `atomics`.
        family: What kind of board it is although its device tree cannot be read; mostly empty.
        hidden: What a container hides from this program that a measurement needs.
    """

    arch: str
    model: str
    compatible: tuple[str, ...]
    cpu_model: str
    cpu_vendor: str
    cores_online: int | None
    cores_usable: int
    memory_bytes: int | None
    kernel: str
    virtual: VirtualKind
    virtual_reason: str
    state: HostState
    gpus: tuple[str, ...] = ()
    cores_present: int | None = None
    features: tuple[str, ...] = ()
    family: str = ""
    hidden: tuple[Hidden, ...] = ()

    @property
    def name_fix(self) -> str:
        """Return what would show a container the name of its board; empty if it is not hidden."""
        return next((h.fix for h in self.hidden if h.what == HIDDEN_BOARD), "")


def detect(root: Path = HERE, arch: str | None = None, cores_usable: int | None = None) -> Host:
    """Describe the host whose files lie under `root`; of another machine by its files alone.

    Args:
        root: Root of the file system.
        arch: Architecture, where it is known otherwise.
        cores_usable: The same for the cores this process may use.
    """
    arch = arch or (platform.machine() if root == HERE else arch_of_tree(root))
    compatible = read_strings(root / "proc/device-tree/compatible")
    tree_model = "".join(read_strings(root / "proc/device-tree/model")[:1])
    cpuinfo = read_text(root / "proc/cpuinfo")
    cpu = first_processor(cpuinfo)
    model = tree_model or _name_without_device_tree(root, cpuinfo)
    family = "" if compatible else _family(root)
    virtual, reason = find_virtualisation(root)
    nameless = arch in ("aarch64", "arm64", "armv7l") and not compatible and (family or not model)
    return Host(
        arch=arch,
        model=model,
        compatible=compatible,
        cpu_model=cpu.get("model name", "") or tree_model,
        cpu_vendor=cpu.get("vendor_id", ""),
        cores_online=len(_cpus(root, "online")) or None,
        cores_usable=usable_cores(root) if cores_usable is None else cores_usable,
        memory_bytes=_memory_bytes(read_text(root / "proc/meminfo")),
        kernel=read_text(root / "proc/sys/kernel/osrelease"),
        virtual=virtual,
        virtual_reason=reason,
        state=read_state(root),
        gpus=_find_gpus(root),
        cores_present=len(_cpus(root, "present")) or None,
        features=tuple(cpu.get("Features", "").split()),
        family=family,
        hidden=hidden_from_here(root, bool(nameless)),
    )


def arch_of_tree(root: Path) -> str:
    """Tell the architecture from the files of a tree; empty if nothing shows it."""
    cpuinfo = read_text(root / "proc/cpuinfo")
    if re.search(r"(?m)^(hart|isa)\s*:", cpuinfo):
        return "riscv64"
    if re.search(r"(?m)^CPU architecture\s*: *[4-7]\b", cpuinfo):
        return "armv7l"
    if (root / "proc/device-tree").is_dir() or "CPU implementer" in cpuinfo:
        return "aarch64"
    intel = any((root / "sys/class/powercap").glob("intel-rapl*"))
    return "x86_64" if "vendor_id" in cpuinfo or intel else ""


def usable_cores(root: Path = HERE) -> int:
    """Return how many cores a program keeps busy without being held back, at least one.

    The least of the cores it may run on (affinity, cpusets) and the whole cores that quotas of its
    control groups pay for: with more threads than that, all of them stand still for the rest of
    every period.
    """
    if root == HERE:
        allowed = os.sched_getaffinity(0)
    else:
        status = read_text(root / "proc/self/status")
        told = re.search(r"^Cpus_allowed_list:\s*(\S+)", status, re.MULTILINE)
        online = set(_cpus(root, "online")) or set(range(_processors(root)))
        allowed = online & set(parse_cpu_list(told.group(1)) if told else online) or online
        allowed = allowed & (allowed_cpus(root) or allowed) or allowed
    quota = quota_cores(root)
    # A quota of 99999 in 100000 is meant as a whole core.
    return max(1, len(allowed) if quota is None else min(len(allowed), int(quota + 0.01)))


def _cpus(root: Path, which: str) -> list[int]:
    return parse_cpu_list(read_text(root / "sys/devices/system/cpu" / which))


def _processors(root: Path) -> int:
    return len(re.findall(r"(?m)^processor\s*:", read_text(root / "proc/cpuinfo")))


def _name_without_device_tree(root: Path, cpuinfo: str) -> str:
    """Return the name that firmware tells, or where that is hidden a driver or the kernel.

    Containers hide the device tree, but neither `soc0`, whose driver copies the model from it
    (drivers/base/soc.c), nor the line that the Raspberry Pi's kernel adds to /proc/cpuinfo.
    """
    model = re.search(r"(?m)^Model\s*:\s*(\S.*)$", cpuinfo)
    return (
        read_text(root / "sys/class/dmi/id/product_name")
        or read_text(root / "sys/devices/soc0/machine")
        or (model.group(1).strip() if model else "")
    )


def _family(root: Path) -> str:
    """Return what kind of board the kernel or NVIDIA's release file is of; empty if any other."""
    told = read_text(root / "proc/sys/kernel/osrelease") + read_text(root / "proc/version")
    if (root / "etc/nv_tegra_release").exists():
        told += " tegra"
    return next((name for pattern, name in _FAMILIES.items() if re.search(pattern, told)), "")


def match_strength(host: Host, match: HostMatch) -> int:
    """Say how well a host fits: the greater, the more particular; 0 if not at all.

    Returns:
        4 for a device-tree compatible match, 3 for model, 2 for architecture and GPU, 1 for
        architecture alone.
    """
    if _any_match(host.compatible, match.compatible):
        return 4
    if _any_match((host.model,), match.model):
        return 3
    # A board that has a profile is no computer of any kind, only because its name is hidden.
    if host.family or not _any_match((host.arch.lower(),), match.arch):
        return 0
    if not match.gpu:
        return 1
    return 2 if _any_match(host.gpus, match.gpu) else 0


def _any_match(names: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def read_state(root: Path = Path("/")) -> HostState:
    """Read governor, temperature and throttle counters."""
    governor = read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return HostState(governor, hottest_c(root), _throttle_counters(root))


def _find_gpus(root: Path) -> tuple[str, ...]:
    """Return "nvidia" if its driver is loaded or a display controller of its vendor id is there."""
    if (root / "proc/driver/nvidia/version").exists():
        return ("nvidia",)
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        vendor, kind = read_text(device / "vendor"), read_text(device / "class")
        if vendor == "0x10de" and kind.startswith("0x03"):
            return ("nvidia",)
    return ()


def _memory_bytes(meminfo: str) -> int | None:
    found = re.search(r"^MemTotal:\s+([0-9]{1,15}) kB", meminfo, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def _throttle_counters(root: Path) -> dict[str, int]:
    """Collect counters that grow when the hardware slows itself down.

    x86: thermal_throttle, summed over cores. Jetson: over-current events of `soctherm_oc`.
    Raspberry Pi: the sticky bits of `get_throttled` as the kernel driver shows them.
    """
    counters: dict[str, int] = {}
    cpus = root / "sys/devices/system/cpu"
    for name in ("core_throttle_count", "package_throttle_count"):
        read = map(read_integer, sorted(cpus.glob(f"cpu[0-9]*/thermal_throttle/{name}")))
        counts = [count for count in read if count is not None]
        if counts:
            counters[name] = sum(counts)
    for path in sorted((root / "sys/class/hwmon").glob("hwmon*/oc*_event_cnt")):
        events = read_integer(path)
        if events is not None:
            counters[path.name] = counters.get(path.name, 0) + events
    bits = read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if re.fullmatch(r"(0x)?[0-9a-fA-F]{1,8}", bits):
        counters["get_throttled"] = int(bits, 16)
    return counters
