"""What the collector costs a training that keeps all cores busy, and how evenly it samples.

The collector reads a live RAPL tree at 10 Hz. Blocks of training steps are timed with the collector
running and with it stopped (SIGSTOP), in the order on, off, off, on, so that drift cancels within a
pair of pairs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from devices.collector import Collector
from tests.benchmarks.load import training_step, use_all_cores
from tests.benchmarks.rig import counter_tree, playing
from tests.benchmarks.table import head, median_interval, quantile, row, spread

RATE_HZ = 10.0
SAMPLING_S = 30.0
SLOWDOWN_S = 100.0
BLOCK_S = 0.25


def report() -> list[str]:
    """Train with and without the collector; takes about two minutes and a half."""
    cores = use_all_cores()
    step = training_step()
    for _ in range(5):
        step()
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="collector-")))
        source = counter_tree(root, "steps", range_uj=262_143_328_850)
        stack.enter_context(playing(source))
        collector = Collector("rapl", root, RATE_HZ, root / "records.bin")
        stack.enter_context(collector)
        lines = [f"default training on {cores} cores, RAPL counter at {RATE_HZ:g} Hz", ""]
        start_s = time.monotonic()
        lines += _sampling(collector, step)
        lines += _slowdown(collector, step)
        cost = collector.cost.over(start_s, start_s + SAMPLING_S)
        if cost:
            most = 100.0 * cost.cpu_share
            lines.append(
                f"Its processor time explains {most / cores:.3f} %, or {most:.3f} % if every"
                " interruption holds all threads up."
            )
        return lines


def _sampling(collector: Collector, step: Callable[[], None]) -> list[str]:
    """Return how evenly samples came while training ran, and what they cost."""
    start_s = time.monotonic()
    shares = []
    while time.monotonic() - start_s < SAMPLING_S:
        from_s = time.monotonic()
        while time.monotonic() - from_s < 5.0:
            step()
        streams = collector.streams()
        cost = collector.cost.over(from_s, time.monotonic())
        if cost:
            shares.append(100.0 * cost.cpu_share)
    end_s = time.monotonic()
    cost = collector.cost.over(start_s, end_s)
    times_s = [t for t in streams.streams[0].times_s if start_s <= t <= end_s]
    periods_ms = [1000.0 * (b - a) for a, b in pairwise(times_s)]
    nominal_ms = 1000.0 / RATE_HZ
    off = [100.0 * abs(period - nominal_ms) / nominal_ms for period in periods_ms]
    late = f"{quantile(off, 0.95):.2f} % (95th percentile)"
    lines = head("while training", "min", "median", "max", "found", "goal")
    lines.append(row("sampling interval, ms", *spread(periods_ms, ".2f"), late, "within ±20 %"))
    lines.append(row("deviation of the interval, %", *spread(off, ".2f"), late, "≤ 20 %"))
    if cost:
        found = f"{100.0 * cost.cpu_share:.3f} % over {cost.window_s:.0f} s"
        lines.append(row("collector, % of one core", *spread(shares), found, "< 1 %"))
        lines.append(row("one reading, µs", "", f"{1e6 * cost.read_s:.0f}", "", "", ""))
    lines.append(row("deadlines missed", "", "", "", f"{collector.late} of {len(times_s)}", ""))
    return [*lines, ""]


def _slowdown(collector: Collector, step: Callable[[], None]) -> list[str]:
    """Return how much longer a step takes with the collector than without."""
    steps = _steps_in(BLOCK_S, step)
    process_id = collector.process_id
    assert process_id is not None
    ratios, places = [], []
    start_s = time.monotonic()
    while time.monotonic() - start_s < SLOWDOWN_S:
        took: dict[bool, list[float]] = {True: [], False: []}
        for on in (True, False, False, True):
            os.kill(process_id, signal.SIGCONT if on else signal.SIGSTOP)
            took[on].append(_seconds(steps, step))
        ratios.append(100.0 * (sum(took[True]) / sum(took[False]) - 1.0))
        places.append(100.0 * (took[False][0] / took[False][1] - 1.0))
    os.kill(process_id, signal.SIGCONT)
    low, high = median_interval(ratios)
    lines = head(f"{len(ratios)} fours of {steps} steps each", "min %", "median %", "max %", "goal")
    lines.append(row("slower with the collector", *spread(ratios, "+.2f"), "< 0.5 %"))
    lines.append(row("off over off: the noise", *spread(places, "+.2f"), "0"))
    sure = "below" if high < 0.5 else "not shown to be below"
    lines += [
        "",
        f"The median slowdown lies between {low:+.2f} and {high:+.2f} % (95 % certain):"
        f" {sure} 0.5 %.",
        f"Standard deviation of one four: {statistics.pstdev(ratios):.2f} %.",
    ]
    return lines


def _steps_in(seconds: float, step: Callable[[], None]) -> int:
    """Return how many steps take about that long, at least one."""
    return max(1, round(seconds * 5 / _seconds(5, step)))


def _seconds(count: int, step: Callable[[], None]) -> float:
    start_s = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - start_s
