"""Measure waves of known energy through live files, with all cores busy training.

Three sensors, three waves each, all at once: the RAPL counter with two wraps in every window; an
INA3221 that averages over 0.43 s and is sampled; and one whose oscillator is 5 % slower than it
says, so that readings and samples drift past each other. Windows of the first table begin and end
while power stands still, as the idle phases around a run do; those of the second cut into the wave
anywhere, where an averaging sensor smears what happens at the edge, and its own bound must say so.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from devices.collector import Collector
from devices.energy import Reading, energy
from tests.benchmarks.rig import busy_cores, counter_tree, playing, sensor_tree
from tests.benchmarks.table import head, row, spread
from tests.benchmarks.waves import WAVES, Wave

CYCLES = 4
SENSORS = {"sampled": 0.43, "sampled, 5 % slow": 0.45}
"""Averaging times, of which the driver tells 0.43 s for both."""

GOAL = 0.5


@dataclass(frozen=True)
class Case:
    """Hold one recording: what was played, and what was measured of windows."""

    name: str
    wave: Wave
    collector: Collector
    origin_s: float

    def reading(self, start_s: float, end_s: float) -> Reading:
        """Return what was measured between two times of the wave."""
        return energy(self.collector.streams(), self.origin_s + start_s, self.origin_s + end_s)

    def error(self, start_s: float, end_s: float) -> tuple[float, float] | None:
        """Return the relative error and the stated bound in percent; None without a figure."""
        reading = self.reading(start_s, end_s)
        if reading.energy_j is None or reading.error_j is None:
            print(f"{self.name}: no figure: {reading.reason}")
            return None
        true_j = self.wave.energy_j(end_s) - self.wave.energy_j(start_s)
        return 100.0 * (reading.energy_j / true_j - 1.0), 100.0 * reading.error_j / true_j


def report() -> list[str]:
    """Play, record and compare; takes about two minutes and a half."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waveform-")))
        stack.enter_context(busy_cores())
        cases = _start(stack, folder)
        cycle_s = cases[0].wave.cycle_s
        first = int((time.monotonic() - cases[0].origin_s) / cycle_s) + 1
        last_s = cases[0].origin_s + (first + CYCLES + 1) * cycle_s + 1.0
        while time.monotonic() < last_s:
            time.sleep(1.0)
            for case in cases:
                case.collector.streams()
        for case in cases:
            case.collector.wait_past(last_s)
        return _tables(cases, first)


def _start(stack: contextlib.ExitStack, folder: Path) -> list[Case]:
    """Start one player for all files and one collector for each."""
    played: list[tuple[str, str, Wave, Path]] = []
    sources: list[str] = []
    for kind in ("counter", *SENSORS):
        for wave in WAVES:
            root = folder / f"{len(played)}"
            meter = "ina3221" if kind in SENSORS else "rapl"
            if kind in SENSORS:
                sources.append(sensor_tree(root, wave.shape, SENSORS[kind]))
            else:
                sources.append(counter_tree(root, wave.shape))
            played.append((f"{kind}, {wave.shape}", meter, wave, root))
    origin_s = stack.enter_context(playing(*sources))
    cases = []
    for name, meter, wave, root in played:
        collector = Collector(meter, root, 10.0, root / "records.bin")
        stack.enter_context(collector)
        cases.append(Case(name, wave, collector, origin_s))
    return cases


def _tables(cases: list[Case], first: int) -> list[str]:
    rounds = range(first, first + CYCLES)
    lines = [
        f"windows of {cases[0].wave.cycle_s:g} s, {CYCLES} of each wave, all cores busy",
        "",
        *head("edges at rest", "min %", "median %", "max %", "goal"),
    ]
    for case in cases:
        cycle_s = case.wave.cycle_s
        found = [case.error(n * cycle_s, (n + 1) * cycle_s) for n in rounds]
        errors = [pair[0] for pair in found if pair]
        goal = "" if "slow" in case.name else f"±{GOAL} %"
        lines.append(row(case.name, *spread(errors, "+.3f"), goal))
    wraps = sorted(
        {
            case.reading(n * case.wave.cycle_s, (n + 1) * case.wave.cycle_s).wraps
            for case in cases
            for n in rounds
            if case.name.startswith("counter")
        }
    )
    lines += ["", f"wraps in every window of a counter: {', '.join(map(str, wraps))}", ""]
    lines += head(
        "edges anywhere, 15 to 30 s", "min %", "median %", "max %", "largest stated bound %"
    )
    draw = random.Random(0)
    for case in cases:
        cycle_s = case.wave.cycle_s
        starts = [(n + draw.random()) * cycle_s for n in rounds]
        # Not whole cycles: what is smeared out at one edge would come in again at the other.
        windows = [(start, start + (0.5 + 0.5 * draw.random()) * cycle_s) for start in starts]
        cut = [pair for window in windows if (pair := case.error(*window))]
        errors, bounds = [pair[0] for pair in cut], [pair[1] for pair in cut]
        kept = "" if all(abs(e) <= b for e, b in cut) else " (broken)"
        bound = f"{max(bounds, default=float('nan')):.2f}{kept}"
        lines.append(row(case.name, *spread(errors, "+.3f"), bound))
    return lines
