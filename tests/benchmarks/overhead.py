"""Weigh what keeping a run costs: checkpoints, marks and logs as a share of the default run.

A run is trained once with every keeping action timed inside it. The share is that time over the
time of all cells, so that a machine's drift cancels. What the training thread does or waits for
counts by the clock; what the thread that writes checkpoints does beside it counts by its processor
time, all of which may be taken from the training on a host whose cores are all in use: the share is
an upper bound. The data set is the default one; the rounds can be fewer, as both grow with them.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from rich.console import Console

from harness.cli.screen import RunScreen
from harness.measurement.phases import PhaseLog
from harness.run_folder.cell_keeper import CellKeeper
from harness.run_folder.checkpoints import CellCheckpoints
from harness.run_folder.resume import Start
from harness.run_folder.run_writer import RunWriter
from harness.running import session
from harness.running.limits import Limits
from harness.running.target import resolve_target
from harness.workloads.base import Settling
from harness.workloads.multitask.config import MultitaskConfig, make_multitask_config
from harness.workloads.multitask.workload import WORKLOAD

GOAL = 0.02
KEEPING = (
    (CellKeeper, "keep"), (CellKeeper, "recall"), (RunWriter, "cell"), (RunWriter, "event"),
    (PhaseLog, "_close"), (PhaseLog, "work"), (CellCheckpoints, "settle"),
    (CellCheckpoints, "remove"), (RunScreen, "round_done"),
)  # fmt: skip
"""What the training thread does; a call inside another counts once."""

BESIDE = ((CellCheckpoints, "_write"),)
"""What the thread beside it does."""

CELLS = (session._Run, "_one_cell")


class Stopwatch:
    """Add up the time spent in some methods of one thread, counting one inside another once."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.total_s = 0.0
        self._clock = clock
        self._depth = 0

    def timed(self, action: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same action, timed."""

        def run(*words: Any, **named: Any) -> Any:
            start_s = self._clock()
            self._depth += 1
            try:
                return action(*words, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.total_s += self._clock() - start_s

        return run


@contextmanager
def timed(methods: Iterable[tuple[type, str]], stopwatch: Stopwatch) -> Iterator[None]:
    """Time some methods as long as the context is open."""
    with ExitStack() as stack:
        for owner, name in methods:
            stack.enter_context(patch.object(owner, name, stopwatch.timed(getattr(owner, name))))
        yield


def share(config: MultitaskConfig) -> float:
    """Return the share of the cells' time that goes into keeping them."""
    target = resolve_target(config)
    console = Console(file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    screen = RunScreen(console, config, WORKLOAD)
    keeping, beside, cells = Stopwatch(), Stopwatch(time.thread_time), Stopwatch()
    opened = WORKLOAD.draft(config, target, {}, Settling(), screen).open(screen)
    with timed(KEEPING, keeping), timed(BESIDE, beside), timed([CELLS], cells), screen:
        session.run(config, target, opened, screen, Start(fresh=True), Limits())
    return (keeping.total_s + beside.total_s) / cells.total_s


def shares(rounds: int, repeats: int, meter: str) -> list[float]:
    """Return the share of each of some runs, sorted."""
    found = []
    for _ in range(repeats):
        with TemporaryDirectory(prefix="overhead-") as folder:
            config = make_multitask_config(
                {"rounds": rounds, "out": str(Path(folder)), "meter": meter}
            )
            found.append(share(config))
    return sorted(found)


def line(found: list[float]) -> str:
    """Return the least, the middle and the greatest share in words."""
    numbers = " / ".join(f"{100 * s:.2f}" for s in (found[0], median(found), found[-1]))
    return f"keeping a run, % of its time (min / median / max): {numbers}; goal below 2"


def report() -> list[str]:
    """Return the line of a few short runs."""
    return [line(shares(rounds=4, repeats=3, meter="auto"))]


def main() -> int:
    """Print the shares; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each run")
    parser.add_argument("--repeats", type=int, default=3, help="runs")
    parser.add_argument("--meter", default="auto", help="meter of the runs")
    parsed = parser.parse_args()
    found = shares(parsed.rounds, parsed.repeats, parsed.meter)
    print(line(found))
    return int(median(found) >= GOAL)


if __name__ == "__main__":
    raise SystemExit(main())
