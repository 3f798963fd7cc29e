"""The estimator of the collector's slowdown: right on known data, and not led astray by bursts."""

import itertools
import math
import random
import statistics
from bisect import bisect_right

import pytest

from tests.benchmarks.slowdown import Trial, hodges_lehmann, slowdown


def test_centre_is_the_median_of_all_means():
    """Three values by hand: means 1, 2, 3, 3, 4, 5 of 1, 3, 5 have the median 3."""
    assert hodges_lehmann([1.0, 3.0, 5.0])[0] == 3.0
    assert hodges_lehmann([0.0, 0.0, 0.0, 8.0])[0] == 0.0


@pytest.mark.parametrize("count", [12, 15])
def test_interval_is_that_of_the_signed_rank_test(count):
    """The interval holds just the centres that the exact test does not refuse (by enumeration)."""
    draw = random.Random(count)
    values = [draw.gauss(0.3, 1.0) for _ in range(count)]
    sums = sorted(
        sum(rank for rank, taken in enumerate(signs, 1) if taken)
        for signs in itertools.product((False, True), repeat=count)
    )
    # The greatest statistic that the exact test refuses: at most 2.5 % lie at or below it.
    refused = max(s for s in {-1, *sums} if bisect_right(sums, s) <= 0.025 * len(sums))
    _, low, high = hodges_lehmann(values)

    def statistic(centre):
        ranked = sorted((value - centre for value in values), key=abs)
        return sum(rank for rank, value in enumerate(ranked, 1) if value > 0)

    total = count * (count + 1) // 2
    # The normal approximation may be one rank off the exact test.
    for end, outwards in ((low, -1e-9), (high, 1e-9)):
        inside, outside = statistic(end - outwards), statistic(end + outwards)
        assert min(inside, total - inside) > refused - 1
        assert min(outside, total - outside) <= refused + 2
    assert low < statistics.median(values) < high


def test_interval_covers_the_truth_despite_bursts():
    """Of 100 trials with a tenth of all blocks tripled, about 95 hold the true 0.4 %."""
    draw = random.Random(1)

    def block(slower):
        return slower * math.exp(draw.gauss(0.0, 0.01)) * (3.0 if draw.random() < 0.1 else 1.0)

    held = 0
    widths = []
    for _ in range(100):
        on = [block(1.004) for _ in range(120)]
        off = [block(1.0) for _ in range(120)]
        found = slowdown(on, off)
        held += found.low <= 0.4 <= found.high
        widths.append(found.high - found.low)
    assert held >= 88
    assert statistics.median(widths) < 1.5


class Machine:
    """Take 2 ms a step, 1 % more while switched on, and grow slower all the time."""

    def __init__(self):
        self.now_s = 0.0
        self.on = True
        self.turns = []

    def step(self):
        self.now_s += 0.002 * (1.01 if self.on else 1.0) * (1.0 + 1e-3 * self.now_s)

    def switch(self, on):
        self.on = on
        self.turns.append(on)


def test_drift_cancels():
    """On a machine that slows down steadily the 1 % is found, and the machine is left on."""
    machine = Machine()
    trial = Trial(
        machine.step, machine.switch, 10, clock=lambda: machine.now_s,
        cpu_clock=lambda: 2.0 * machine.now_s,
    )  # fmt: skip
    pairs = list(trial.pairs(4.0))
    assert machine.turns[:4] == [True, False, False, True]
    assert machine.on
    assert len(pairs) > 50
    wall = slowdown([p.on.wall_s for p in pairs], [p.off.wall_s for p in pairs])
    cpu = slowdown([p.on.cpu_s for p in pairs], [p.off.cpu_s for p in pairs])
    assert wall.percent == pytest.approx(1.0, abs=0.01)
    assert cpu.percent == pytest.approx(wall.percent)
