"""What the bound of sampled power is worth, against square waves whose joules are known."""

import itertools
import random
import statistics

import pytest

from devices.energy import energy
from devices.error_bound import CONTEXT_SAMPLES
from devices.meters.base import MeterInfo, Rail, RawSample
from devices.meters.simulated import PowerCurve, SimulatedMeter
from devices.records import RecordKind, RecordReader, RecordWriter
from devices.sampling import CLOSEST_READS, SamplingLoop
from devices.stream import StreamSet

WAVE = PowerCurve("square", low_w=1.0, high_w=10.0, period_s=1.0, duty=0.3)


def sampled(curve, path, clock, draw, duration_s=60.0, period_s=1.0):
    """Let the collector's own loop sample a curve on a fake clock; draw says when."""
    options = {
        "kind": "sampled", "shape": curve.shape, "low_w": str(curve.low_w),
        "high_w": str(curve.high_w), "period_s": str(curve.period_s), "duty": str(curve.duty),
    }  # fmt: skip
    meter = SimulatedMeter(clock=clock, options=options)
    writer = RecordWriter.open_new(path, meter.describe(), period_s)
    end_s = clock.now_s + duration_s
    loop = SamplingLoop(
        meter, writer, period_s, lambda: clock.now_s < end_s, clock, lambda: 0.0, clock.sleep, draw
    )
    loop.run()
    writer.close()
    streams = StreamSet(meter.describe(), period_s)
    for record in RecordReader(path).read_new():
        if record.kind is RecordKind.SAMPLE:
            streams.append(record.to_sample())
    return streams


def judged(curve, streams, start_s, end_s):
    """Return the reading of a window and how far it is off."""
    reading = energy(streams, start_s, end_s)
    return reading, abs(reading.energy_j - (curve.energy_j(end_s) - curve.energy_j(start_s)))


def test_a_fixed_pace_is_blind(tmp_path, clock):
    """Why readings are taken at random moments: in step with the wave, all of them are alike."""
    streams = sampled(WAVE, tmp_path / "r.bin", clock, float)
    reading, off_j = judged(WAVE, streams, 105.0, 155.0)
    assert reading.error_j == 0.0
    assert off_j > 0.5 * reading.energy_j


@pytest.mark.parametrize("seconds", [10, 20, 50])
@pytest.mark.parametrize(("period_s", "duty"), [(1.0, 0.3), (1.0, 0.7), (0.5, 0.5), (0.31, 0.4)])
def test_random_moments_bound_a_wave_in_step(tmp_path, clock, seconds, period_s, duty):
    """A wave as fast as the readings, or faster: within the bound in 97 % of windows, and flagged.

    The worst fixed pace is 100 % wrong with a bound of 0 J.
    """
    curve = PowerCurve("square", low_w=1.0, high_w=10.0, period_s=period_s, duty=duty)
    rng = random.Random(f"{seconds} {period_s} {duty}")
    streams = sampled(curve, tmp_path / "r.bin", clock, rng.random, 3000.0)
    starts = [clock.now_s - 2950.0 + rng.random() + 13.0 * n for n in range(220)]
    found = [judged(curve, streams, start, start + seconds) for start in starts]
    assert statistics.fmean(off <= r.error_j for r, off in found) >= 0.97
    assert statistics.fmean("unsteady" in r.flags for r, _ in found) >= 0.97
    mean_j = statistics.fmean(r.energy_j for r, _ in found)
    assert mean_j == pytest.approx(seconds * (1.0 + 9.0 * duty), rel=0.05)


def test_power_that_is_read_fast_enough_is_not_widened(tmp_path, clock):
    """A wave with ten readings on each level has the trapezoid's bound only, and no flag."""
    curve = PowerCurve("square", low_w=1.0, high_w=10.0, period_s=20.0, duty=0.5)
    streams = sampled(curve, tmp_path / "r.bin", clock, random.Random(5).random, 300.0)
    reading, off_j = judged(curve, streams, 105.0, 305.0)
    stream = streams.streams[0]
    left, right = stream.segment(105.0), stream.segment(305.0)
    assert off_j <= reading.error_j
    assert reading.error_j == pytest.approx(stream.spread_j[right + 1] - stream.spread_j[left])
    assert reading.flags == ()


def test_a_short_window_is_judged_by_its_surroundings():
    """Three like readings amid swings: alike by chance, so the bound is that of the swings."""
    streams = StreamSet(MeterInfo("t", "sampled", "board", (Rail("in"),)), 1.0)
    watts = [1.0, 9.0] * CONTEXT_SAMPLES + [9.0, 9.0, 9.0] + [1.0, 9.0] * CONTEXT_SAMPLES
    for time_s, power_w in enumerate(watts):
        streams.append(RawSample(0, float(time_s), float(time_s), power_w))
    middle = 2.0 * CONTEXT_SAMPLES
    reading = energy(streams, middle - 0.5, middle + 1.5)
    assert reading.energy_j == pytest.approx(18.0)
    assert reading.error_j > 9.0
    assert "unsteady" in reading.flags


@pytest.mark.parametrize(("readings", "duty"), [(10, 0.1), (10, 0.3), (5, 0.1), (3, 0.5)])
def test_few_readings_could_have_missed_any_peak(readings, duty):
    """A short recording of a wave between 5 and 35 W, of a device limited to 40 W, three readings
    on either side of the window: within the bound in 95 of 100, and flagged.
    """
    curve = PowerCurve("square", low_w=5.0, high_w=35.0, period_s=0.7, duty=duty)
    rng = random.Random(readings)
    held = []
    for _ in range(1000):
        info = MeterInfo("t", "sampled", "board", (Rail("in", max_power_w=40.0),))
        streams = StreamSet(info, 1.0)
        start_s = 100.0 * rng.random()
        times = [start_s + n + 0.8 * rng.random() for n in range(readings + 6)]
        for time_s in times:
            streams.append(RawSample(0, time_s, time_s, curve.power_w(time_s)))
        reading, off_j = judged(curve, streams, times[2] + 0.01, times[-3] - 0.01)
        held.append(off_j <= reading.error_j)
        assert {"few-samples", "unsteady"} & set(reading.flags)
    assert statistics.fmean(held) >= 0.95


def test_enough_readings_of_steady_power_are_not_widened():
    """The 32 that count may lie around the window."""
    info = MeterInfo("t", "sampled", "board", (Rail("in", max_power_w=40.0),))
    streams = StreamSet(info, 1.0)
    for time_s in range(31):
        streams.append(RawSample(0, float(time_s), float(time_s), 5.0))
    short = energy(streams, 10.0, 20.0)
    assert short.error_j == pytest.approx(350.0 * (1.0 - 0.05 ** (1 / 31)))
    assert "few-samples" in short.flags
    streams.append(RawSample(0, 31.0, 31.0, 5.0))
    enough = energy(streams, 10.0, 20.0)
    assert (enough.error_j, enough.flags) == (0.0, ())


def test_reads_are_spread_over_the_whole_period(tmp_path, clock):
    """Offsets over many periods are uniform; no two reads are closer than a fifth of it."""
    streams = sampled(WAVE, tmp_path / "r.bin", clock, random.Random(3).random, 2000.0)
    times = streams.streams[0].times_s
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert min(gaps) >= CLOSEST_READS - 1e-9
    assert max(gaps) <= 2.0
    assert len(times) == pytest.approx(2000, abs=2)
    tenths = [sum(int(10 * (t % 1.0)) == n for t in times) for n in range(10)]
    assert min(tenths) > 150
    assert max(tenths) < 250
