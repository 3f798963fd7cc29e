"""What the collector costs a training that keeps all cores busy, and how evenly it samples.

The collector reads a live RAPL tree at 10 Hz. Short blocks of training steps are timed with the
collector running and with it stopped (SIGSTOP), turn by turn, and compared as `slowdown` says.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from devices.collector import Collector
from tests.benchmarks.load import training_step, use_all_cores
from tests.benchmarks.rig import counter_tree, playing
from tests.benchmarks.slowdown import Estimate, Trial, slowdown
from tests.benchmarks.table import head, quantile, row, spread

RATE_HZ = 10.0
SAMPLING_S = 30.0
SLOWDOWN_S = 180.0
BLOCK_S = 0.3
GOAL = 0.5


def report() -> list[str]:
    """Train with and without the collector; takes about four minutes."""
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
    process_id = collector.process_id
    assert process_id is not None

    def switch(on: bool) -> None:
        os.kill(process_id, signal.SIGCONT if on else signal.SIGSTOP)

    trial = Trial(step, switch, _steps_in(BLOCK_S, step))
    pairs = list(trial.pairs(SLOWDOWN_S))
    wall = slowdown([pair.on.wall_s for pair in pairs], [pair.off.wall_s for pair in pairs])
    cpu = slowdown([pair.on.cpu_s for pair in pairs], [pair.off.cpu_s for pair in pairs])
    noise = _noise([pair.off.wall_s for pair in pairs])
    what = f"{len(pairs)} pairs of {trial.steps} steps each"
    lines = head(what, "estimate %", "95 % certain", "goal")
    lines.append(row("slower with the collector, wall time", *_words(wall), "< 0.5 %"))
    lines.append(row("the same, processor time of the training", *_words(cpu), ""))
    lines.append(row("off over off: the noise", *_words(noise), "0"))
    shown = "shown" if wall.high < GOAL else "not shown"
    lines += [
        "",
        f"Claimed is the wall time: below {GOAL:g} % is {shown}, its interval ends at"
        f" {wall.high:+.2f} %.",
        "The processor time holds what the training itself pays (caches, switches); a core that"
        " another process takes from it is not in there.",
        "Every block with the collector begins with one reading more than its period asks for.",
    ]
    return lines


def _words(found: Estimate) -> tuple[str, str]:
    return f"{found.percent:+.2f}", f"{found.low:+.2f} to {found.high:+.2f}"


def _noise(off_s: list[float]) -> Estimate:
    """Return what the estimator makes of pairs that do not differ."""
    even = len(off_s) - len(off_s) % 2
    return slowdown(off_s[:even:2], off_s[1:even:2])


def _steps_in(seconds: float, step: Callable[[], None]) -> int:
    """Return how many steps take about that long, at least one."""
    return max(1, round(seconds * 5 / _seconds(5, step)))


def _seconds(count: int, step: Callable[[], None]) -> float:
    start_s = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - start_s
