"""Watch the memory and the processor seconds of a program and all it starts (Linux, `/proc`)."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from devices.board_counters import parse_process_s
from devices.host import read_text

FIRST_LOOK_S = 0.005
USUAL_PAUSE_S = 0.1
SHARE = 0.005
"""A look at memory takes at most this share of the time, however large the programs are."""

TEXT = 3
"""Place of the pages of code in `/proc/PID/statm` (proc(5))."""

TREE = "tree"
LARGEST = "largest process"


@dataclass(frozen=True)
class ProgramMemory:
    """Hold the peak memory of a program; `how` says what it is the peak of.

    `tree` is the highest of many looks at the proportional set size of all processes together, in
    which shared pages count once; `largest process` is the peak resident size of one of them, as
    the kernel gives it.
    """

    memory_bytes: int | None
    how: str = ""
    reason: str = ""


def descendants(process: int, root: Path = Path("/")) -> Iterator[int]:
    """Yield a process and all that it has started, as far as they still run."""
    waiting = [process]
    seen = set()
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        yield number
        for path in (root / f"proc/{number}/task").glob("*/children"):
            waiting += [int(word) for word in read_text(path).split() if word.isdigit()]


def tree_bytes(process: int, root: Path = Path("/")) -> int | None:
    """Return the memory of a process and all that it has started; None if none of it is shown."""
    sizes = [_size_bytes(root / f"proc/{number}") for number in descendants(process, root)]
    known = [size for size in sizes if size is not None]
    return sum(known) if known else None


def _size_bytes(folder: Path) -> int | None:
    """Return the proportional set size, or where that is not shown the resident one.

    None for a program that is only being loaded: it has a page for its arguments and no code yet.
    """
    pages = read_text(folder / "statm").split()
    if len(pages) > TEXT and pages[TEXT] == "0":
        return None
    found = re.search(r"^Pss:\s*(\d+) kB", read_text(folder / "smaps_rollup"), re.MULTILINE)
    found = found or re.search(r"^VmRSS:\s*(\d+) kB", read_text(folder / "status"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def left_cpu_s(process: int, root: Path = Path("/")) -> float:
    """Return the processor seconds of a process and of all it has started, which still run."""
    numbers = descendants(process, root)
    times_s = (parse_process_s(read_text(root / f"proc/{number}/stat")) for number in numbers)
    return sum(time_s for time_s in times_s if time_s is not None)


class MemoryWatch:
    """Look at a process tree now and then, and keep the highest sum."""

    def __init__(
        self,
        process: int,
        clock: Callable[[], float] = time.monotonic,
        look: Callable[[int], int | None] = tree_bytes,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._process = process
        self._clock = clock
        self._look = look
        self._cpu_clock = cpu_clock
        self._peak: int | None = None
        self.next_s = clock() + FIRST_LOOK_S
        self._pause_s = FIRST_LOOK_S

    def look(self) -> None:
        """Look if it is time; how long that takes decides when it is time again."""
        began_s = self._clock()
        if began_s < self.next_s:
            return
        begun_cpu_s = self._cpu_clock()
        with contextlib.suppress(OSError, ValueError):
            self._peak = max(self._peak or 0, self._look(self._process) or 0) or None
        took_s = self._cpu_clock() - begun_cpu_s  # waiting its turn on a busy host costs nothing
        self._pause_s = min(2.0 * self._pause_s, USUAL_PAUSE_S)  # short programs are seen too
        self.next_s = began_s + max(self._pause_s, took_s / SHARE)

    def peak(self, largest_bytes: int, floor_bytes: int) -> ProgramMemory:
        """Return the peak.

        Args:
            largest_bytes: The kernel's peak of the largest process.
            floor_bytes: Peak of this process when it started the program: the kernel lets a new
                program inherit that figure, so that a smaller one says nothing of the program.
        """
        kernel_bytes = largest_bytes if largest_bytes > floor_bytes else 0
        if not self._peak and not kernel_bytes:
            return ProgramMemory(None, "", "the command ended before its memory could be looked at")
        if kernel_bytes > (self._peak or 0):
            return ProgramMemory(kernel_bytes, LARGEST)
        return ProgramMemory(self._peak, TREE)


def children_of_this() -> list[int]:
    """Return the direct children of this process."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        found += [int(word) for word in read_text(path).split() if word.isdigit()]
    return [number for number in found if number != os.getpid()]
