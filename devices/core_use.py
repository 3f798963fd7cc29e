"""Say which processor cores are busy, and how many of them with the work of other programs.

The whole-host counters of `devices.board_counters` say whether a cell was disturbed; this looks at
the very cores that a program may use, so that it can leave those that are taken to others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from devices.board_counters import parse_cores_busy_s, parse_process_s
from devices.text_files import read_text


@dataclass(frozen=True)
class CoreUse:
    """Hold seconds at one moment: busy time of every core, and processor time of own processes."""

    time_s: float
    busy_s: Mapping[int, float]
    own_s: float


def read_core_use(
    root: Path = Path("/"),
    clock: Callable[[], float] = time.monotonic,
    own: Collection[int] = (),
) -> CoreUse | None:
    """Read the counters of the host whose files lie under `root`; None if they cannot be read.

    The work of the processes `own`, such as those that measure, counts as that of this one.
    """
    busy_s = parse_cores_busy_s(read_text(root / "proc/stat"))
    names = ("self", *map(str, own))
    own_s = [parse_process_s(read_text(root / "proc" / name / "stat")) for name in names]
    known_s = [used_s for used_s in own_s if used_s is not None]
    if not busy_s or len(known_s) < len(own_s):
        return None
    return CoreUse(clock(), busy_s, math.fsum(known_s))


@dataclass(frozen=True)
class Taken:
    """Hold the share of a stretch of time that each core was busy, and how many were by this one.

    `busy` counts the work of this process too, which is not told core by core; `own` is how many
    cores it kept busy, on average.
    """

    busy: Mapping[int, float]
    own: float

    def foreign(self, cores: Collection[int]) -> float:
        """Return how many of some cores others kept busy, if all own work was done on them."""
        return max(0.0, math.fsum(self.busy.get(core, 0.0) for core in cores) - self.own)


def taken(before: CoreUse, after: CoreUse) -> Taken | None:
    """Return what happened on the cores between two moments; None if no time has passed."""
    passed_s = after.time_s - before.time_s
    if passed_s <= 0.0:
        return None
    busy = {
        core: max(0.0, (busy_s - before.busy_s[core]) / passed_s)
        for core, busy_s in after.busy_s.items()
        if core in before.busy_s
    }
    return Taken(busy, max(0.0, after.own_s - before.own_s) / passed_s)
