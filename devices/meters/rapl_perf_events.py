"""Find the energy events of the `power` PMU and decide which of them add up to the whole.

What contains what is as in `devices.meters.powercap`: psys ⊃ pkg ⊃ {cores, gpu}; ram is beside pkg.
The kernel names one processor per counter in `cpumask`: one per socket, one per die on Intel's
multi-die packages.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from devices.host import parse_cpu_list, read_text
from devices.meters.base import Rejected

POWER_PMU = Path("sys/bus/event_source/devices/power")
TOTAL_EVENTS = ("energy-pkg", "energy-ram")
WITNESS_EVENTS = ("energy-psys",)

FIRST_SOUND_AMD_KERNEL = (5, 17)
"""Before it the events of AMD processors gave false figures (alumet, plug-in rapl)."""


@dataclass(frozen=True)
class PowerEvent:
    """Hold one event on one processor.

    Attributes:
        name: The kernel's name, such as energy-pkg.
        pmu_type: Number of the PMU.
        config: Number of the event in it.
        scale_j: Joules that one count stands for.
        cpu: Processor that counts for its socket.
    """

    name: str
    pmu_type: int
    config: int
    scale_j: float
    cpu: int

    @property
    def rail_name(self) -> str:
        """Return a name that stays unique with several sockets."""
        return f"{self.name}/cpu{self.cpu}"


@dataclass(frozen=True)
class EventChoice:
    """Hold the events to read and those left out.

    Attributes:
        totals: Events that add up to the figure; empty if there is no sound one.
        witnesses: Events recorded beside it.
        rejected: Events left out, with reasons.
        fix: What would help if there is no total; may be empty.
    """

    totals: tuple[PowerEvent, ...] = ()
    witnesses: tuple[PowerEvent, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    fix: str = ""


def choose_events(root: Path) -> EventChoice:
    """Decide which events are summed, recorded as witnesses or left out."""
    pmu = root / POWER_PMU
    kind = read_text(pmu / "type")
    cpus = parse_cpu_list(read_text(pmu / "cpumask"))
    if not re.fullmatch(r"[0-9]{1,9}", kind) or not cpus:
        return EventChoice()
    intel = "vendor_id\t: GenuineIntel" in read_text(root / "proc/cpuinfo")
    if not intel and not _sound_amd_kernel(root):
        return _refuse_all("AMD's energy events are false before Linux 5.17", "use meter rapl")
    rejected: list[Rejected] = []
    if not intel:
        cpus = _one_per_package(cpus, root, rejected)
        if not cpus:
            reason = "the packages of the processors in cpumask cannot be read"
            return _refuse_all(reason, "use meter rapl")
    totals: list[PowerEvent] = []
    witnesses: list[PowerEvent] = []
    for name in _event_names(pmu):
        found = _events(pmu, name, int(kind), cpus)
        reason = _why_not(name, intel, found)
        if reason:
            rejected.append(Rejected(name, reason))
        elif name in TOTAL_EVENTS:
            totals.extend(found)
        else:
            witnesses.append(found[0])  # psys is one for the whole machine
    if not any(event.name == "energy-pkg" for event in totals):
        return EventChoice((), (), tuple(rejected))
    return EventChoice(tuple(totals), tuple(witnesses), tuple(rejected))


def _refuse_all(reason: str, fix: str) -> EventChoice:
    return EventChoice(rejected=(Rejected("energy-pkg", reason),), fix=fix)


def _why_not(name: str, intel: bool, found: list[PowerEvent]) -> str:
    """Say why an event is left out; empty if it is used."""
    if name in ("energy-cores", "energy-gpu"):
        return "already inside energy-pkg"
    if name not in TOTAL_EVENTS + WITNESS_EVENTS:
        return "unknown name: not known what contains it"
    if not intel and name != "energy-pkg":
        return "advertised, but only energy-pkg is real on this vendor"
    if not found:
        return "its number, unit or scale cannot be read"
    return ""


def _event_names(pmu: Path) -> list[str]:
    """Return the advertised events, without the files that describe them."""
    try:
        names = sorted(path.name for path in (pmu / "events").iterdir())
    except OSError:
        return []
    return [name for name in names if name.startswith("energy-") and "." not in name]


def _events(pmu: Path, name: str, kind: int, cpus: list[int]) -> list[PowerEvent]:
    """Return the event on every processor of the mask; empty if its files make no sense."""
    folder = pmu / "events"
    number = re.fullmatch(r"event=0x([0-9a-fA-F]{1,8})", read_text(folder / name))
    scale_j = parse_scale(read_text(folder / f"{name}.scale"))
    if number is None or scale_j is None or read_text(folder / f"{name}.unit") != "Joules":
        return []
    config = int(number.group(1), 16)
    return [PowerEvent(name, kind, config, scale_j, cpu) for cpu in cpus]


def parse_scale(text: str) -> float | None:
    """Return the joules of one count; None unless it is a plain positive number below 1 J."""
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,60})?([eE]-?[0-9]{1,3})?", text):
        return None
    value = float(text)
    return value if 0.0 < value < 1.0 and math.isfinite(value) else None


def _sound_amd_kernel(root: Path) -> bool:
    release = re.match(r"([0-9]{1,3})\.([0-9]{1,4})", read_text(root / "proc/sys/kernel/osrelease"))
    if release is None:
        return False
    return (int(release.group(1)), int(release.group(2))) >= FIRST_SOUND_AMD_KERNEL


def _one_per_package(cpus: list[int], root: Path, rejected: list[Rejected]) -> list[int]:
    """Keep one processor per package, since AMD's dies all show their package's counter.

    Returns an empty list if several processors are named and a package number is unreadable.
    """
    if len(cpus) == 1:
        return cpus
    kept: dict[str, int] = {}
    for cpu in cpus:
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        package = read_text(topology / "physical_package_id")
        if not re.fullmatch(r"[0-9]{1,6}", package):
            return []
        if package in kept:
            reason = f"die of the same package as cpu{kept[package]}, mirrors its counter"
            rejected.append(Rejected(f"energy-pkg/cpu{cpu}", reason))
        else:
            kept[package] = cpu
    return list(kept.values())
