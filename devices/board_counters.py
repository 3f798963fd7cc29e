"""Count what the kernel counts and a window can be spoilt by: throttling, swapping, others' work.

A snapshot is cheap (small files only, no program is run), so it can be taken before and after every
window. Sources: the kernel's documents on /proc/stat, /proc/vmstat, cpufreq and the thermal
sysfs; `thermal_throttle` of the x86 machine-check code; `soctherm_oc` of NVIDIA's kernels.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.host import read_state, read_text
from devices.meters.base import Clock


@dataclass(frozen=True)
class Counters:
    """Hold counters at one moment; None for what this host does not show.

    Attributes:
        time_s: Moment on the monotonic clock.
        throttle: Hardware's throttling events by name, as `HostState.throttle_counters`.
        swapped_pages: Pages swapped in and out since the start.
        busy_s: Processor seconds that all cores together spent on any work, without stolen time.
        stolen_s: Processor seconds a hypervisor gave to other machines.
        own_s: Processor seconds of this process, its ended children, and the processes named.
        clock_limit_khz: Sum of the cores' highest allowed frequencies, which heat lowers.
        cooling_steps: Sum of the states of cooling devices that slow a processor down.
    """

    time_s: float
    throttle: Mapping[str, int]
    swapped_pages: int | None = None
    busy_s: float | None = None
    stolen_s: float | None = None
    own_s: float | None = None
    clock_limit_khz: int | None = None
    cooling_steps: int | None = None

    def foreign_cores(self, before: Counters) -> float | None:
        """Return how many cores others kept busy since `before`, on average; None if unknown."""
        passed_s = self.time_s - before.time_s
        known = (self.busy_s, self.own_s, before.busy_s, before.own_s)
        if passed_s <= 0.0 or any(value is None for value in known):
            return None
        busy_s, own_s, busy_before_s, own_before_s = (value or 0.0 for value in known)
        return ((busy_s - busy_before_s) - (own_s - own_before_s)) / passed_s


def read_counters(
    root: Path = Path("/"), own: Sequence[int] = (), clock: Clock = time.monotonic
) -> Counters:
    """Read all counters of the host whose files lie under `root`.

    Args:
        root: Root of the file system.
        own: Processes besides this one whose work is not foreign, such as the collector.
        clock: Monotonic clock.
    """
    busy_s, stolen_s = parse_stat(read_text(root / "proc/stat"))
    return Counters(
        time_s=clock(),
        throttle=read_state(root).throttle_counters,
        swapped_pages=parse_swapped(read_text(root / "proc/vmstat")),
        busy_s=busy_s,
        stolen_s=stolen_s,
        own_s=_own_s(root, own),
        clock_limit_khz=_sum_of(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_max_freq"),
        cooling_steps=_cooling_steps(root),
    )


def parse_stat(text: str) -> tuple[float | None, float | None]:
    """Return busy and stolen processor seconds of /proc/stat; None for what it does not say.

    Fields of the line `cpu`: user, nice, system, idle, iowait, irq, softirq, steal, guest,
    guest_nice, in clock ticks; guest time is already inside user time.
    """
    line = re.search(r"^cpu +([0-9 ]+)$", text, re.MULTILINE)
    return _busy_and_stolen_s(line.group(1)) if line else (None, None)


def parse_cores_busy_s(text: str) -> dict[int, float]:
    """Return busy processor seconds of /proc/stat core by core, counted as `parse_stat` does."""
    lines = re.findall(r"^cpu([0-9]{1,5}) ([0-9 ]+)$", text, re.MULTILINE)
    found = {int(core): _busy_and_stolen_s(ticks)[0] for core, ticks in lines}
    return {core: busy_s for core, busy_s in found.items() if busy_s is not None}


def _busy_and_stolen_s(line: str) -> tuple[float | None, float | None]:
    ticks = _counts(line)
    if len(ticks) < 4:
        return None, None
    ticks += [0] * (8 - len(ticks))
    user, nice, system, _, _, irq, softirq, steal = ticks[:8]
    return _seconds(user + nice + system + irq + softirq), _seconds(steal)


def parse_swapped(text: str) -> int | None:
    """Return the pages of /proc/vmstat that were swapped in or out."""
    found = dict(re.findall(r"^(pswpin|pswpout) ([0-9]{1,18})$", text, re.MULTILINE))
    return sum(int(pages) for pages in found.values()) if len(found) == 2 else None


def parse_process_s(text: str) -> float | None:
    """Return the processor seconds of /proc/<pid>/stat: fields 14 to 17, ended children too.

    The program's name, in brackets, may hold blanks and brackets itself.
    """
    fields = text.rpartition(")")[2].split()
    ticks = _counts(" ".join(fields[11:15]))
    return _seconds(sum(ticks)) if len(ticks) == 4 else None


def _own_s(root: Path, processes: Sequence[int]) -> float | None:
    """Add up own processes; one that has ended no longer tells, which makes the sum unknown."""
    names = ["self", *map(str, processes)]
    times_s = [parse_process_s(read_text(root / "proc" / name / "stat")) for name in names]
    known_s = [value for value in times_s if value is not None]
    return sum(known_s) if len(known_s) == len(names) else None


def _counts(text: str) -> list[int]:
    """Return whole numbers; none at all if one of them is no counter."""
    words = text.split()
    if not all(re.fullmatch(r"[0-9]{1,18}", word) for word in words):
        return []
    return [int(word) for word in words]


def _seconds(ticks: int) -> float:
    return ticks / os.sysconf("SC_CLK_TCK")


def _sum_of(root: Path, pattern: str) -> int | None:
    """Return the sum of the counters in all files that match; None if no file holds one."""
    counts = [count for path in sorted(root.glob(pattern)) for count in _counts(read_text(path))]
    return sum(counts) if counts else None


def _cooling_steps(root: Path) -> int | None:
    """Add up the states of cooling devices that act on clocks; a fan is no throttling."""
    states = []
    for device in sorted((root / "sys/class/thermal").glob("cooling_device[0-9]*")):
        kind = read_text(device / "type").lower()
        if re.search(r"cpufreq|devfreq|processor|intel_powerclamp|tegra|throttl", kind):
            states += _counts(read_text(device / "cur_state"))
    return sum(states) if states else None
