"""The highest power of several rails at once, where reads were lost and windows lie anywhere."""

import itertools

import pytest

from devices.meters.base import MeterInfo, Rail, RawSample
from devices.stream import StreamSet
from harness.measurement.peaks import peak_w

SKEW_S = 0.004
"""Between two rails of one reading."""


def two_rails(kind, lost, bursts, resets=()):
    """Read two rails for 10 s at 10 Hz: 5 W each, and 100 W each during the bursts.

    `lost` are the readings (rail, number) that failed, `resets` those before which a counter
    started again.
    """
    rails = (Rail("package-0"), Rail("package-1"))
    streams = StreamSet(MeterInfo("rapl", kind, "package", rails), 0.1)
    offset_j = 0.0
    for number, rail in itertools.product(range(100), range(2)):
        time_s = 0.1 * number + SKEW_S * rail
        inside = [(start, end) for start, end in bursts if start <= time_s]
        joules = 5.0 * time_s + 95.0 * sum(min(end, time_s) - start for start, end in inside)
        if (rail, number) in resets:
            offset_j = joules - 1.0
        burst = any(start <= time_s < end for start, end in bursts)
        value = joules - offset_j if kind == "counter" else 100.0 if burst else 5.0
        lost_now = (rail, number) in lost
        streams.append(RawSample(rail, time_s, time_s, None if lost_now else value))
    return streams


@pytest.mark.parametrize("kind", ["counter", "sampled"])
@pytest.mark.parametrize(
    "lost",
    [set(), {(1, n) for n in range(20)}, {(0, 3), (1, 4), (1, 5), (0, 65), (1, 66), (0, 90)}],
    ids=["none", "the second rail for two seconds", "now and then"],
)
def test_lost_reads_shift_nothing(kind, lost):
    """Both rails draw 100 W from 6 s to 8 s and 5 W else: 200 W together, and 10 W."""
    streams = two_rails(kind, lost, [(6.0, 8.0)])
    assert peak_w(streams, [(6.2, 7.8)]) == pytest.approx(200.0)
    assert peak_w(streams, [(4.2, 5.8), (8.2, 9.5)]) == pytest.approx(10.0)
    assert peak_w(streams, [(2.5, 5.8), (6.2, 7.8)]) == pytest.approx(200.0)


def test_what_was_drawn_before_a_window_is_no_part_of_it():
    """A burst ends at 2.09 s; the first reading within the window from 2.095 s counts it still."""
    streams = two_rails("counter", set(), [(2.0, 2.09)])
    assert peak_w(streams, [(1.99, 2.2)]) == pytest.approx(200.0 * 0.9 + 10.0 * 0.1, rel=0.03)
    assert peak_w(streams, [(2.095, 5.0)]) == pytest.approx(10.0)


def test_no_whole_stretch_between_readings_tells_nothing():
    streams = two_rails("counter", set(), [])
    assert peak_w(streams, [(3.01, 3.09)]) is None
    assert peak_w(streams, []) is None


def test_a_counter_that_starts_again_has_no_peak_there():
    streams = two_rails("counter", set(), [], {(0, 50)})
    assert peak_w(streams, [(4.0, 6.0)]) == pytest.approx(10.0)
    assert peak_w(streams, [(4.91, 5.01)]) is None


def test_only_rails_of_the_total_count():
    rails = (Rail("in"), Rail("cpu", "witness"))
    streams = StreamSet(MeterInfo("ina3221", "sampled", "board", rails), 0.1)
    for number, rail in itertools.product(range(20), range(2)):
        streams.append(RawSample(rail, number / 10, number / 10, 7.0))
    assert peak_w(streams, [(0.5, 1.5)]) == 7.0
