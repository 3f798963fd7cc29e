"""Find the RAPL zones of the powercap tree and decide which of them add up to the whole.

Zones are told apart by their `name` file, never by index (`psys` may take the slot of a second
socket). What contains what, after the kernel's powercap documentation and reports of wrong sums:
psys ⊃ package ⊃ {core, uncore}; dram hangs below a package but is not part of its energy;
`intel-rapl-mmio` mirrors the zone of the same name; AMD shows one zone per die that all mirror one
counter, whereas Intel dies count for themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from devices.host import read_text
from devices.meters.base import Rail, Rejected

POWERCAP = Path("sys/class/powercap")
FALLBACK_RANGE_UJ = 262_143_328_850
"""2^32 × 61 µJ, the usual range, for kernels that hide `max_energy_range_uj` from users."""

RESOLUTION_J = 61e-6
"""Energy unit of most RAPL counters, 2^-14 J (Intel SDM volume 3, MSR_RAPL_POWER_UNIT)."""

PACKAGE_LIMIT_W = 1000.0
"""Twice the largest thermal design power of server processors (500 W)."""

LIMITS_OF_PEAK = 2.0
"""Times a zone's own largest power limit that it cannot draw over a tenth of a second: limits hold
on average, and the counter moves a little before or after the clock is read."""

LEAST_PACKAGE_W = 0.05
"""Less than any package takes while a program on it reads its counter."""

DRAM_LIMIT_W = 400.0
PSYS_LIMIT_W = 2500.0
STALE_AFTER_S = 1.0
"""The counter is updated about every millisecond and an idle package never draws 0 W."""

_ZONE = re.compile(r"(intel-rapl|intel-rapl-mmio):[0-9]{1,4}(:[0-9]{1,4})*")
_PACKAGE = re.compile(r"package-([0-9]{1,4})(?:-die-([0-9]{1,4}))?")


@dataclass(frozen=True)
class Zone:
    """Hold one zone of the powercap tree.

    Attributes:
        zone_id: Directory name, such as `intel-rapl:0:2`.
        name: Content of its `name` file.
        path: Directory.
    """

    zone_id: str
    name: str
    path: Path

    @property
    def driver(self) -> str:
        """Return `intel-rapl` or `intel-rapl-mmio`."""
        return self.zone_id.partition(":")[0]

    @property
    def parent_id(self) -> str:
        """Return the id of the zone above; empty for a top zone."""
        head, _, _ = self.zone_id.rpartition(":")
        return head if ":" in head else ""

    @property
    def energy_path(self) -> Path:
        """Return the counter's file."""
        return self.path / "energy_uj"


@dataclass(frozen=True)
class Choice:
    """Hold the zones to read and those left out.

    Attributes:
        totals: Zones that add up to the figure, with a unique rail name each.
        witnesses: Zones recorded beside it.
        rejected: Zones left out, with reasons.
    """

    totals: tuple[tuple[str, Zone], ...]
    witnesses: tuple[tuple[str, Zone], ...]
    rejected: tuple[Rejected, ...]

    @property
    def scope(self) -> str:
        """Say what the total covers."""
        dram = any(zone.name == "dram" for _, zone in self.totals)
        return "package+dram" if dram else "package"


def find_zones(root: Path) -> list[Zone]:
    """List all RAPL zones under `root`, each once, in numerical order.

    Children appear both in the class directory and inside their parents; the id makes them one.
    """
    found: dict[str, Zone] = {}
    pending = [root / POWERCAP]
    while pending:
        for path in _list_folder(pending.pop()):
            if path.name in found or not _ZONE.fullmatch(path.name):
                continue
            name = read_text(path / "name")
            if name:
                found[path.name] = Zone(path.name, name, path)
                pending.append(path)
    return sorted(found.values(), key=_order)


def _list_folder(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _order(zone: Zone) -> tuple[str, list[int]]:
    driver, *numbers = zone.zone_id.split(":")
    return driver, [int(number) for number in numbers]


def choose_zones(zones: list[Zone], root: Path) -> Choice:
    """Decide which zones are summed, recorded as witnesses or left out."""
    rejected: list[Rejected] = []
    msr = _without_mirrors(zones, rejected)
    packages = _without_die_twins(
        [zone for zone in msr if _PACKAGE.fullmatch(zone.name) and not zone.parent_id],
        root,
        rejected,
    )
    kept_ids = {zone.zone_id for zone in packages}
    totals = [(zone.name, zone) for zone in packages]
    witnesses: list[tuple[str, Zone]] = []
    for zone in msr:
        if zone.parent_id and zone.parent_id not in kept_ids:
            rejected.append(_reject(zone, "its package is left out"))
        elif zone.name == "dram":
            totals.append((_dram_name(zone, packages), zone))
        elif zone.name == "psys" and not zone.parent_id:
            witnesses.append((zone.name, zone))
        elif zone.name in ("core", "uncore"):
            rejected.append(_reject(zone, "already inside its package"))
        elif not _PACKAGE.fullmatch(zone.name) or zone.parent_id:
            rejected.append(_reject(zone, "unknown name: not known what contains it"))
    return Choice(tuple(totals), tuple(witnesses), tuple(rejected))


def _reject(zone: Zone, reason: str) -> Rejected:
    return Rejected(f"{zone.zone_id} ({zone.name})", reason)


def _without_mirrors(zones: list[Zone], rejected: list[Rejected]) -> list[Zone]:
    """Drop memory-mapped zones that mirror an MSR zone, and second zones of one name.

    Child zones are compared by their parent's name too, since each package has its own dram.
    """
    names = {zone.zone_id: zone.name for zone in zones}
    seen: dict[tuple[str, str], Zone] = {}
    kept = []
    for zone in zones:  # intel-rapl sorts before intel-rapl-mmio
        key = (names.get(zone.parent_id, ""), zone.name)
        if key in seen:
            rejected.append(_reject(zone, f"mirrors {seen[key].zone_id}"))
            continue
        seen[key] = zone
        kept.append(zone)
    return kept


def _without_die_twins(packages: list[Zone], root: Path, rejected: list[Rejected]) -> list[Zone]:
    """Drop package zones that show another zone's counter once more.

    Intel's dies have counters of their own and are summed. On any other vendor, dies of one
    package mirror one counter, and so do `package-N` zones beyond the sockets that exist.
    """
    if "vendor_id\t: GenuineIntel" in read_text(root / "proc/cpuinfo"):
        return packages
    sockets = _physical_packages(root)
    kept: dict[int, Zone] = {}
    for zone in packages:
        number = _package_number(zone)
        if number in kept:
            reason = f"die of the same package as {kept[number].zone_id}, mirrors its counter"
            rejected.append(_reject(zone, reason))
        elif kept and sockets and number not in sockets:
            reason = "no processor lies in this package: a die that mirrors another's counter"
            rejected.append(_reject(zone, reason))
        else:
            kept[number] = zone
    return list(kept.values())


def _package_number(zone: Zone) -> int:
    match = _PACKAGE.fullmatch(zone.name)
    return int(match.group(1)) if match else -1


def _physical_packages(root: Path) -> set[int]:
    """Return the package numbers that processors report; empty if unreadable."""
    cpus = root / "sys/devices/system/cpu"
    texts = (read_text(path) for path in cpus.glob("cpu[0-9]*/topology/physical_package_id"))
    return {int(text) for text in texts if re.fullmatch(r"[0-9]{1,6}", text)}


def _dram_name(zone: Zone, packages: list[Zone]) -> str:
    """Return a rail name that stays unique with several sockets."""
    for package in packages:
        if package.zone_id == zone.parent_id:
            return f"{package.name}/dram"
    return "dram"


def make_rail(name: str, zone: Zone, witness: bool) -> tuple[Rail, str]:
    """Describe a zone as a rail; the text is a note if the wrap range had to be assumed."""
    text = read_text(zone.path / "max_energy_range_uj")
    known = re.fullmatch(r"[0-9]{1,20}", text) is not None and int(text) > 0
    range_uj = int(text) if known else FALLBACK_RANGE_UJ
    limit_w = {"dram": DRAM_LIMIT_W, "psys": PSYS_LIMIT_W}.get(zone.name, PACKAGE_LIMIT_W)
    told_w = told_limit_w(zone)
    rail = Rail(
        name=name,
        role="witness" if witness else "total",
        resolution_j=RESOLUTION_J,
        wrap_range_j=range_uj / 1e6,
        max_power_w=min(limit_w, LIMITS_OF_PEAK * told_w) if told_w else limit_w,
        stale_after_s=STALE_AFTER_S,
    )
    note = "" if known else f"{name}: wrap range unreadable, assumed {FALLBACK_RANGE_UJ} µJ"
    return rail, note


def told_limit_w(zone: Zone) -> float | None:
    """Return the largest power limit that a zone tells of itself; None if it tells none.

    `max_power_uw` is often the rated power, which the short-term `power_limit_uw` exceeds; firmware
    that limits nothing writes thousands of watts there.
    """
    texts = [
        read_text(path)
        for name in ("max_power_uw", "power_limit_uw")
        for path in zone.path.glob(f"constraint_[0-9]_{name}")
    ]
    told_uw = [int(text) for text in texts if re.fullmatch(r"[0-9]{1,18}", text)]
    return max(told_uw, default=0) / 1e6 or None
