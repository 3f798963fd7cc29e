"""Tell from the file tree whether pyRAPL 0.2.3 would read it rightly, before pyRAPL is asked.

The faults are those of its source: it walks `intel-rapl:0, 1, …` and stops at the first gap, wants
exactly one package zone per socket, and reads the topology of every processor that is present even
if it is offline.
"""

from __future__ import annotations

import re
from pathlib import Path

from devices.host import read_text
from devices.meters.powercap import Choice, find_zones
from devices.meters.rapl_perf_events import parse_cpu_list

CPUS = Path("sys/devices/system/cpu")
ONLINE_FIX = (
    "echo on | sudo tee /sys/devices/system/cpu/smt/control; "
    "echo 1 | sudo tee /sys/devices/system/cpu/cpu*/online; or use meter rapl"
)
RAPL_FIX = "use meter rapl"


def find_fault(root: Path, choice: Choice) -> tuple[str, str]:
    """Return why pyRAPL cannot read this host and what helps; two empty texts if it can.

    Args:
        root: Root of the file system.
        choice: The zones that add up to the figure, as meter `rapl` finds them.
    """
    sockets: set[int] = set()
    for cpu in parse_cpu_list(read_text(root / CPUS / "present")):
        package = read_text(root / CPUS / f"cpu{cpu}/topology/physical_package_id")
        if not re.fullmatch(r"[0-9]{1,6}", package):
            reason = f"cpu{cpu} is offline: pyRAPL asks every present processor for its socket"
            return reason, ONLINE_FIX
        sockets.add(int(package))
    if not sockets:
        return f"the processors under /{CPUS} cannot be listed", RAPL_FIX
    reachable = _reachable_zones(root)
    beyond = [zone.zone_id for _, zone in choice.totals if _top_id(zone.zone_id) not in reachable]
    if beyond:
        return f"pyRAPL stops at a gap in the zones and misses {beyond[0]}", RAPL_FIX
    seen = [name for name in reachable.values() if socket_number(name) in sockets]
    if len(seen) != len(sockets):
        reason = f"pyRAPL wants one package zone per socket: {len(seen)} zones for {len(sockets)}"
        return reason, RAPL_FIX
    return "", ""


def _reachable_zones(root: Path) -> dict[str, str]:
    """Return id and name of the top zones up to the first gap, as pyRAPL walks them."""
    names = {zone.zone_id: zone.name for zone in find_zones(root)}
    reached: dict[str, str] = {}
    while f"intel-rapl:{len(reached)}" in names:
        zone_id = f"intel-rapl:{len(reached)}"
        reached[zone_id] = names[zone_id]
    return reached


def _top_id(zone_id: str) -> str:
    return ":".join(zone_id.split(":")[:2])


def socket_number(name: str) -> int | None:
    """Return the socket pyRAPL reads from a zone's name; None if it skips the zone."""
    found = re.match(r"package-([0-9]{1,6})", name)
    return int(found.group(1)) if found else None
