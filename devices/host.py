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
from typing import Literal

VirtualKind = Literal["", "vm", "container"]

MAX_CPU = 65_535


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


def detect(
    root: Path = Path("/"), arch: str | None = None, cores_usable: int | None = None
) -> Host:
    """Describe the host whose files lie under `root`.

    Args:
        root: Root of the file system.
        arch: Architecture, where `root` is not this machine's.
        cores_usable: The same for the cores this process may use.
    """
    model = _device_tree(root, "model")
    board = model[0] if model else read_text(root / "sys/class/dmi/id/product_name")
    cpu = _first_processor(read_text(root / "proc/cpuinfo"))
    virtual, reason = find_virtualisation(root)
    online = parse_cpu_list(read_text(root / "sys/devices/system/cpu/online"))
    usable = len(os.sched_getaffinity(0)) if cores_usable is None else cores_usable
    return Host(
        arch=platform.machine() if arch is None else arch,
        model=board,
        compatible=_device_tree(root, "compatible"),
        cpu_model=cpu.get("model name", "") or (model[0] if model else ""),
        cpu_vendor=cpu.get("vendor_id", ""),
        cores_online=len(online) or None,
        cores_usable=usable,
        memory_bytes=_memory_bytes(read_text(root / "proc/meminfo")),
        kernel=read_text(root / "proc/sys/kernel/osrelease"),
        virtual=virtual,
        virtual_reason=reason,
        state=read_state(root),
        gpus=_find_gpus(root),
    )


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
    if not _any_match((host.arch.lower(),), match.arch):
        return 0
    if not match.gpu:
        return 1
    return 2 if _any_match(host.gpus, match.gpu) else 0


def _any_match(names: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def read_state(root: Path = Path("/")) -> HostState:
    """Read governor, temperature and throttle counters."""
    governor = read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return HostState(governor, _temperature_c(root), _throttle_counters(root))


def find_virtualisation(root: Path) -> tuple[VirtualKind, str]:
    """Return the kind of virtualisation and what shows it; empty texts on bare metal."""
    # A container inside a VM is called a VM: no mount can bring back sensors the guest lacks.
    flags = _first_processor(read_text(root / "proc/cpuinfo")).get("flags", "")
    if "hypervisor" in flags.split():
        return "vm", "the processor reports a hypervisor"
    hypervisor = read_text(root / "sys/hypervisor/type")
    if hypervisor:
        return "vm", f"/sys/hypervisor/type says {hypervisor}"
    for marker in (".dockerenv", "run/.containerenv"):
        if (root / marker).exists():
            return "container", f"/{marker} exists"
    groups = re.search(r"docker|kubepods|lxc|libpod", read_text(root / "proc/1/cgroup"))
    if groups:
        return "container", f"/proc/1/cgroup names {groups.group()}"
    return "", ""


def _find_gpus(root: Path) -> tuple[str, ...]:
    """Return "nvidia" if its driver is loaded or a display controller of its vendor id is there."""
    if (root / "proc/driver/nvidia/version").exists():
        return ("nvidia",)
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        vendor, kind = read_text(device / "vendor"), read_text(device / "class")
        if vendor == "0x10de" and kind.startswith("0x03"):
            return ("nvidia",)
    return ()


def read_text(path: Path) -> str:
    """Return a small file's text without blanks at the ends; empty if it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        # Powered-off thermal zones on Jetson answer EAGAIN, masked trees EACCES or ENOENT.
        return ""


def parse_cpu_list(text: str) -> list[int]:
    """Return the processors of a kernel list such as `0,18` or `0-1`; empty if it is not one."""
    cpus: list[int] = []
    for part in text.split(","):
        span = re.fullmatch(r"\s*([0-9]{1,5})(?:-([0-9]{1,5}))?\s*", part)
        if span is None:
            return []
        first = int(span.group(1))
        last = first if span.group(2) is None else int(span.group(2))
        if not first <= last <= MAX_CPU:
            return []
        cpus.extend(range(first, last + 1))
    return sorted(set(cpus))


def _device_tree(root: Path, name: str) -> tuple[str, ...]:
    """Return the NUL-separated strings of a device-tree property."""
    text = read_text(root / "proc/device-tree" / name)
    return tuple(part.strip() for part in text.split("\0") if part.strip())


def _first_processor(cpuinfo: str) -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


def _memory_bytes(meminfo: str) -> int | None:
    found = re.search(r"^MemTotal:\s+([0-9]{1,15}) kB", meminfo, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def _temperature_c(root: Path) -> float | None:
    """Return the hottest zone; constants (PMIC) and switched-off sensors are left out."""
    temperatures = []
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        millidegrees = _integer(read_text(zone / "temp"))
        if millidegrees is None or "PMIC" in read_text(zone / "type").upper():
            continue
        if -40_000 < millidegrees < 130_000:
            temperatures.append(millidegrees / 1000.0)
    return max(temperatures, default=None)


def _throttle_counters(root: Path) -> dict[str, int]:
    """Collect counters that grow when the hardware slows itself down.

    x86: thermal_throttle, summed over cores. Jetson: over-current events of `soctherm_oc`.
    Raspberry Pi: the sticky bits of `get_throttled` as the kernel driver shows them.
    """
    counters: dict[str, int] = {}
    cpus = root / "sys/devices/system/cpu"
    for name in ("core_throttle_count", "package_throttle_count"):
        counts = _integers(sorted(cpus.glob(f"cpu[0-9]*/thermal_throttle/{name}")))
        if counts:
            counters[name] = sum(counts)
    for path in sorted((root / "sys/class/hwmon").glob("hwmon*/oc*_event_cnt")):
        events = _integer(read_text(path))
        if events is not None:
            counters[path.name] = counters.get(path.name, 0) + events
    bits = read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if re.fullmatch(r"(0x)?[0-9a-fA-F]{1,8}", bits):
        counters["get_throttled"] = int(bits, 16)
    return counters


def _integers(paths: list[Path]) -> list[int]:
    values = [_integer(read_text(path)) for path in paths]
    return [value for value in values if value is not None]


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None
