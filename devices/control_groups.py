"""Read what control groups leave this process: processor time, cores and memory.

A limit on any group above the process binds it too, so every group from its own up to the top that
is mounted here is looked at, in whichever version of the hierarchy a controller lives. Sources: the
kernel's documents admin-guide/cgroup-v2 and admin-guide/cgroup-v1 (cpusets, memory), scheduler/
sched-bwc, and cgroups(7), cgroup_namespaces(7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from devices.mounts import Mount, read_mounts
from devices.text_files import parse_cpu_list, read_integer, read_text

MOUNT = "/sys/fs/cgroup"
NO_LIMIT_BYTES = 1 << 60
"""Version 1 writes "no limit" as the largest number of whole pages, near 2^63."""


@dataclass(frozen=True)
class Group:
    """Hold one control group's folder and the version of its files."""

    folder: Path
    version: int


def quota_cores(root: Path = Path("/")) -> float | None:
    """Return how many cores' time the process may use; None without a quota."""
    shares = [_quota(group) for group in groups(root, "cpu")]
    return min((share for share in shares if share is not None), default=None)


def allowed_cpus(root: Path = Path("/")) -> set[int] | None:
    """Return the processors that cpusets allow; None if no cpuset says so."""
    names = {2: ("cpuset.cpus.effective",), 1: ("cpuset.effective_cpus", "cpuset.cpus")}
    for group in groups(root, "cpuset"):
        for name in names[group.version]:
            cpus = parse_cpu_list(read_text(group.folder / name))
            if cpus:
                return set(cpus)  # the nearest one is already within those above it
    return None


def free_memory_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes the process can still take before a group's limit; None without a limit.

    What a group's file cache holds and has not used of late is given back on demand, so it counts
    as free, as it does in the kernel's own MemAvailable.
    """
    found = (_free(group) for group in groups(root, "memory"))
    return min((free for free in found if free is not None), default=None)


def groups(root: Path, controller: str) -> list[Group]:
    """Return the process's groups for a controller, its own first, then each one above."""
    # A tree that does not say where its process is shows the process's own groups at the top.
    paths = _paths_of_process(root) or {controller: "/", "": "/"}
    mounts = read_mounts(root)
    found: list[Group] = []
    for version, path in ((1, paths.get(controller)), (2, paths.get(""))):
        if path is not None:
            places = _mounted(root, mounts, controller, version)
            found += _upwards(path, places, version)
    return found


def _paths_of_process(root: Path) -> dict[str, str]:
    """Return the process's path by controller; that of version 2 under the empty name."""
    paths: dict[str, str] = {}
    for line in read_text(root / "proc/self/cgroup").splitlines():
        found = re.fullmatch(r"[0-9]+:([^:]*):(/.*)", line)
        if found:
            paths.update(dict.fromkeys(found.group(1).split(","), found.group(2)))
    return paths


def _mounted(
    root: Path, mounts: list[Mount], controller: str, version: int
) -> list[tuple[str, Path]]:
    """Return where the hierarchy is shown, each with the group that its top stands for.

    The usual places are among them: a mount may be covered by another, or not be told.
    """
    kind = "cgroup2" if version == 2 else "cgroup"
    found = [
        (mount.inside, root / mount.place.lstrip("/"))
        for mount in mounts
        if mount.kind == kind and (version == 2 or controller in mount.options.split(","))
    ]
    return found + [("/", place) for place in _usual_places(root, controller, version)]


def _usual_places(root: Path, controller: str, version: int) -> Iterator[Path]:
    """Yield where the hierarchy usually is."""
    top = root / MOUNT.lstrip("/")
    if version == 2:
        yield from (top / "unified", top)
        return
    for name in (controller, *sorted(path.name for path in top.glob("*,*"))):
        if controller in name.split(","):
            yield top / name


def _upwards(path: str, places: list[tuple[str, Path]], version: int) -> Iterator[Group]:
    """Yield the folders of a group and of all above it, in every place that may show them.

    One that is not there sets no bound. So a path as the host sees it does no harm in a container
    that sees its own group as the top.
    """
    for inside, top in places:
        parts = _relative(path, inside).parts
        for steps in range(len(parts), -1, -1):
            yield Group(top.joinpath(*parts[:steps]), version)


def _relative(path: str, inside: str) -> PurePosixPath:
    """Return a group's path below the one that the mount shows; empty if it is not below it."""
    whole = PurePosixPath(path)
    if ".." in whole.parts or not whole.is_relative_to(inside):
        return PurePosixPath()
    return whole.relative_to(inside)


def _quota(group: Group) -> float | None:
    """Return the cores' time that one group allows; None if it sets no bound."""
    if group.version == 2:
        words = read_text(group.folder / "cpu.max").split()
        quota, period = [*words, *("max", "100000")[len(words) :]][:2]
    else:
        quota = read_text(group.folder / "cpu.cfs_quota_us")
        period = read_text(group.folder / "cpu.cfs_period_us")
    if not all(re.fullmatch(r"[0-9]{1,18}", text) for text in (quota, period)):
        return None  # "max" and -1 mean no bound
    return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None


def _free(group: Group) -> int | None:
    """Return the bytes that one group leaves; None if it sets no bound."""
    statistics = _statistics(group.folder)
    if group.version == 2:
        # Beyond memory.high the process is not ended, but slowed until nothing goes on.
        limits = [read_integer(group.folder / name) for name in ("memory.max", "memory.high")]
        used, idle = read_integer(group.folder / "memory.current"), statistics.get("inactive_file")
    else:
        limits = [read_integer(group.folder / "memory.limit_in_bytes"),
                  statistics.get("hierarchical_memory_limit")]  # fmt: skip
        used = read_integer(group.folder / "memory.usage_in_bytes")
        idle = statistics.get("total_inactive_file")
    known = [limit for limit in limits if limit is not None and 0 <= limit < NO_LIMIT_BYTES]
    return max(min(known) - max((used or 0) - (idle or 0), 0), 0) if known else None


def _statistics(folder: Path) -> dict[str, int]:
    text = read_text(folder / "memory.stat")
    return {name: int(value) for name, value in re.findall(r"(?m)^(\w+) ([0-9]{1,19})$", text)}
