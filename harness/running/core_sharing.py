"""Leave cores that other programs have taken, and come back once they are free.

Training threads wait for one another at every layer. With two threads on two cores beside one busy
program, one thread always waits for the one that shares a core. On the cores that are left, waiting
asleep, the same threads do the same work, to the same last bit, in the time it takes there.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devices.core_use import CoreUse, Taken, read_core_use, taken
from harness.running.accelerator import CPU
from harness.running.waiting import SleepingTeam, sleeping_team

TICK_S = 1.0
"""From one look to the next; a look takes a tenth of a millisecond."""

COME_CORES, GONE_CORES = 0.3, 0.15
"""Others' work in cores from which cores are left, and up to which they are taken again. A program
that wants a whole core gets half of one beside two threads that want it as well."""

IDLE_CORES = 0.5


@dataclass(frozen=True)
class Sharing:
    """Say on which cores threads run, and whether they wait asleep for one another."""

    asleep: bool
    cores: tuple[int, ...]


def next_sharing(now: Sharing, allowed: tuple[int, ...], seen: Taken) -> Sharing:
    """Return how to go on after a stretch of time of which is known who was at work.

    Where others want every core there is none to leave: threads stay on all of them, asleep while
    they wait. Of the cores to stay on, those come first where this program is already, unless
    others are there while other cores are idle: a program may be bound to a core, which then is
    busier than those whose threads wait.
    """
    foreign = seen.foreign(allowed)
    if foreign < (GONE_CORES if now.asleep else COME_CORES):
        return Sharing(asleep=False, cores=allowed)
    left = len(allowed) - max(1, math.ceil(foreign - COME_CORES))
    if not 0 < left < len(allowed):
        return Sharing(asleep=True, cores=allowed)
    elsewhere = [core for core in allowed if core not in now.cores]
    idle = len(elsewhere) - math.fsum(seen.busy.get(core, 0.0) for core in elsewhere)
    moves = seen.foreign(now.cores) > COME_CORES and idle > IDLE_CORES
    order = sorted(
        allowed, key=lambda core: ((core in now.cores) == moves, seen.busy.get(core, 0.0), core)
    )
    return Sharing(asleep=True, cores=tuple(sorted(order[:left])))


class CoreSharing:
    """Hold on which cores this process trains, and change that as other programs come and go."""

    def __init__(
        self,
        allowed: tuple[int, ...],
        team: SleepingTeam,
        look: Callable[[], CoreUse | None] = read_core_use,
        stay_on: Callable[[Collection[int]], None] | None = None,
    ) -> None:
        self._allowed = allowed
        self._team = team
        self._look = look
        self._stay_on = stay_on or stay_on_cores
        self._last = look()
        self.now = Sharing(asleep=False, cores=allowed)

    def tick(self) -> None:
        """Look at what happened since the last look, and act on it."""
        before, self._last = self._last, self._look()
        seen = taken(before, self._last) if before and self._last else None
        if seen is not None:
            self._become(next_sharing(self.now, self._allowed, seen))

    def end(self) -> None:
        """Go back to all cores and to waiting as the library does."""
        self._become(Sharing(asleep=False, cores=self._allowed))

    def _become(self, then: Sharing) -> None:
        if then.asleep:
            self._team.start()
        if then.cores != self.now.cores:
            self._stay_on(then.cores)
        if not then.asleep:
            self._team.stop()
        self.now = then


def stay_on_cores(cores: Collection[int]) -> None:
    """Bind every thread of this process to some cores; one that ends meanwhile is gone."""
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            os.sched_setaffinity(int(task.name), cores)


@contextlib.contextmanager
def sharing_cores(
    threads: int, accelerator: str = CPU, own: Collection[int] = ()
) -> Iterator[None]:
    """Share the cores that this process may use as long as the context is open.

    Nothing is done where one thread trains, where a GPU does, or where threads cannot be made to
    wait asleep: spinning on fewer cores than threads would take far longer. The processes `own`
    measure: their work is not another program's.
    """
    team = sleeping_team(threads) if threads > 1 and accelerator == CPU else None
    if team is None:
        yield
        return
    look = partial(read_core_use, own=tuple(own))
    sharing = CoreSharing(tuple(sorted(os.sched_getaffinity(0))), team, look)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(TICK_S):
            sharing.tick()

    watcher = threading.Thread(target=watch, name="core-sharing", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        sharing.end()


def describe_waiting(threads: int) -> str:
    """Return in words how training threads wait for one another."""
    if threads == 1:
        return "one thread, which waits for none"
    if sleeping_team(threads) is None:
        return "as the library that computes, or its environment variables, say"
    return "awake on cores of their own; asleep, on the cores left, while other programs take some"
