"""Streams and windows against closed forms."""

import itertools
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.energy import FLAGS, energy, power_trace
from devices.meters.base import MeterInfo, Rail, RawSample
from devices.meters.simulated import PowerCurve
from devices.stream import StreamSet

CURVES = [
    PowerCurve("constant", high_w=7.0),
    PowerCurve("ramp", low_w=2.0, high_w=12.0, period_s=20.0),
    PowerCurve("square", low_w=5.0, high_w=35.0, period_s=0.8, duty=0.5),
]


def numeric_energy(curve, start_s, end_s, steps=200_000):
    """Integrate power by the midpoint rule, independent of the closed form."""
    width = (end_s - start_s) / steps
    return math.fsum(curve.power_w(start_s + (i + 0.5) * width) for i in range(steps)) * width


def record(curve, kind, duration_s=10.0, period_s=0.001, **rail):
    """Sample a curve on a regular grid from t = 0."""
    info = MeterInfo("test", kind, "board", (Rail("rail", **rail),))
    streams = StreamSet(info, period_s)
    for step in range(round(duration_s / period_s) + 1):
        time_s = step * period_s
        value = curve.energy_j(time_s) if kind == "counter" else curve.power_w(time_s)
        if kind == "counter" and info.rails[0].wrap_range_j:
            value = math.fmod(value, info.rails[0].wrap_range_j)
        streams.append(RawSample(0, time_s, time_s, value))
    return streams


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.shape)
@pytest.mark.parametrize("span", [(0.0, 4.0), (1.2345, 9.8765), (0.4, 0.9)])
def test_closed_form_integral_is_right(curve, span):
    """The simulated curve's own integral agrees with numeric integration."""
    expected = numeric_energy(curve, *span)
    actual = curve.energy_j(span[1]) - curve.energy_j(span[0])
    assert actual == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["counter", "sampled"])
@pytest.mark.parametrize(
    ("curve", "true_j"),
    [
        (CURVES[0], 7.0 * 8.0),
        # mean of 2 + 0.5·t over [1, 9] is 4.5 W
        (CURVES[1], 4.5 * 8.0),
        # ten whole periods of 0.8 s at a mean of 20 W
        (CURVES[2], 20.0 * 8.0),
    ],
    ids=["constant", "ramp", "square"],
)
def test_streams_meet_the_closed_form(curve, true_j, kind):
    """Constant, ramp and square waves come out within 0.1 %, by counter and by samples."""
    streams = record(curve, kind)
    reading = energy(streams, 1.0, 9.0)
    assert reading.energy_j == pytest.approx(true_j, rel=1e-3)
    assert abs(reading.energy_j - true_j) <= reading.error_j + 1e-9
    assert reading.flags == ()
    assert reading.reason == ""


def test_edges_between_samples_are_interpolated():
    """Coarse samples of a ramp (2 + 0.5·t): energy is exact wherever the edges fall."""
    streams = record(CURVES[1], "sampled", period_s=1.0)
    true_j = 2.0 * (7.7 - 1.3) + 0.25 * (7.7**2 - 1.3**2)
    assert energy(streams, 1.3, 7.7).energy_j == pytest.approx(true_j, rel=1e-12)


def test_error_bound_covers_an_unlucky_edge():
    """A counter read once per second, load ending in mid-interval: the bound holds."""
    curve = PowerCurve("square", low_w=0.0, high_w=100.0, period_s=1.0, duty=0.5)
    streams = record(curve, "counter", period_s=1.0)
    start_s, end_s = 2.5, 6.25
    true_j = curve.energy_j(end_s) - curve.energy_j(start_s)
    reading = energy(streams, start_s, end_s)
    assert reading.energy_j != pytest.approx(true_j)
    assert abs(reading.energy_j - true_j) <= reading.error_j


@pytest.mark.parametrize("kind", ["counter", "sampled"])
@given(cuts=st.lists(st.floats(0.0, 10.0), min_size=3, max_size=8))
@settings(max_examples=50, deadline=None)
def test_adjacent_windows_add_up(kind, cuts):
    """Cutting a window into pieces changes nothing about its energy."""
    streams = record(CURVES[2], kind, period_s=0.037)
    cuts = sorted(min(cut, streams.streams[0].times_s[-1]) for cut in cuts)
    parts = [energy(streams, a, b).energy_j for a, b in itertools.pairwise(cuts)]
    whole = energy(streams, cuts[0], cuts[-1]).energy_j
    assert math.fsum(parts) == pytest.approx(whole, abs=1e-9)


@given(
    watts=st.lists(st.floats(-1.0, 50.0), min_size=3, max_size=30),
    start=st.floats(0.0, 1.0),
    end=st.floats(0.0, 1.0),
)
@settings(max_examples=100, deadline=None)
def test_trapezoid_against_brute_force(watts, start, end):
    """Any samples: the window equals slow numeric integration of the straight lines between them.

    Small negative readings, which real sensors give, are kept.
    """
    info = MeterInfo("test", "sampled", "board", (Rail("rail"),))
    streams = StreamSet(info, 1.0)
    for time_s, power_w in enumerate(watts):
        streams.append(RawSample(0, float(time_s), float(time_s), power_w))
    last_s = len(watts) - 1.0
    start_s, end_s = sorted((start * last_s, end * last_s))
    knots = sorted({start_s, end_s, *(float(t) for t in range(len(watts)) if start_s < t < end_s)})

    def line(time_s):
        left = min(int(time_s), len(watts) - 2)
        return watts[left] + (watts[left + 1] - watts[left]) * (time_s - left)

    pieces = itertools.pairwise(knots)
    true_j = math.fsum((b - a) * line(0.5 * (a + b)) for a, b in pieces)
    assert energy(streams, start_s, end_s).energy_j == pytest.approx(true_j, abs=1e-6)


def test_wraps_are_counted_and_bridged():
    """50 W for 10 s over a range of 100 J wraps about five times and is still 500 J."""
    streams = record(PowerCurve("constant", high_w=50.0), "counter", 10.0, 0.01, wrap_range_j=100.0)
    reading = energy(streams, 0.0, 10.0)
    assert reading.energy_j == pytest.approx(500.0, rel=1e-6)
    assert reading.wraps == 5
    assert reading.flags == ("wrap",)


def counter_streams(pairs, period_s=1.0, **rail):
    info = MeterInfo("test", "counter", "board", (Rail("rail", **rail),))
    streams = StreamSet(info, period_s)
    for time_s, value in pairs:
        streams.append(RawSample(0, time_s, time_s, value))
    return streams


def test_fall_of_a_counter_that_never_wraps_is_a_reset():
    """Without a wrap range every fall is a reset."""
    streams = counter_streams([(0.0, 50.0), (1.0, 60.0), (2.0, 5.0), (3.0, 15.0)])
    assert energy(streams, 0.0, 3.0).energy_j is None
    assert energy(streams, 0.0, 1.0).energy_j == pytest.approx(10.0)
    assert energy(streams, 2.0, 3.0).energy_j == pytest.approx(10.0)


def test_impossible_leap_is_a_reset():
    """A step forward that no hardware could draw is not energy."""
    streams = counter_streams([(0.0, 0.0), (1.0, 10.0), (2.0, 1e6), (3.0, 1e6 + 10)])
    assert energy(streams, 0.0, 3.0).flags == ("reset",)
    assert energy(streams, 0.0, 3.0).energy_j is None


def test_unseen_wraps_are_not_guessed():
    """A gap in which the counter could have wrapped unseen leaves no figure."""
    pairs = [(0.0, 0.0), (1.0, 10.0), (2.0, 20.0), (60.0, 30.0), (61.0, 40.0), (62.0, 50.0)]
    streams = counter_streams(pairs, wrap_range_j=1000.0, max_power_w=100.0)
    reading = energy(streams, 0.5, 61.5)
    assert reading.energy_j is None
    assert "wrapped unseen" in reading.reason


def test_failed_reads_are_gaps_for_samples():
    """Sampled power is unknown in a gap, so a window over it has no figure."""
    info = MeterInfo("test", "sampled", "board", (Rail("rail"),))
    streams = StreamSet(info, 1.0)
    for step in range(30):
        value = None if 10 <= step < 20 else 5.0
        streams.append(RawSample(0, float(step), float(step), value))
    over = energy(streams, 5.0, 25.0)
    assert over.energy_j is None
    assert over.flags == ("gap",)
    assert over.longest_gap_s == pytest.approx(11.0)
    assert energy(streams, 0.0, 9.0).energy_j == pytest.approx(45.0)


@pytest.mark.parametrize(("window", "words"), [((-1.0, 2.0), "before"), ((1.0, 11.0), "after")])
def test_window_outside_the_recording_is_partial(window, words):
    """Part of a window is not the window."""
    reading = energy(record(CURVES[0], "counter", period_s=0.5), *window)
    assert reading.energy_j is None
    assert reading.error_j is None
    assert reading.flags == ("partial",)
    assert words in reading.reason


def test_window_after_a_dead_collector_names_the_death():
    """If the recording ended early, the reason says why."""
    streams = record(CURVES[0], "counter", period_s=0.5)
    streams.ended = "the collector died"
    reading = energy(streams, 1.0, 11.0)
    assert reading.flags == ("gap", "partial")
    assert "the collector died" in reading.reason


def test_short_window_is_flagged():
    """A window with hardly a sample inside is marked, not hidden."""
    reading = energy(record(CURVES[0], "counter", period_s=0.5), 1.1, 1.6)
    assert reading.energy_j == pytest.approx(3.5)
    assert reading.flags == ("few-samples",)
    assert reading.error_j > 1.0


def test_averaging_sensor_widens_the_error():
    """A sensor that averages over τ adds ½·ΔP·τ per edge."""
    info = MeterInfo("test", "sampled", "board", (Rail("rail"),), averaging_s=0.4)
    streams = StreamSet(info, 1.0)
    for step in range(60):
        streams.append(RawSample(0, float(step), float(step), 5.0 if step < 10 else 15.0))
    # one step of 10 W over 1 s: ½·10·1 J; two edges: 2·½·10·0.4 J
    assert energy(streams, 2.0, 18.0).error_j == pytest.approx(5.0 + 4.0)


def test_empty_stream_and_missing_total():
    """No samples and no total rail both give a reason instead of a number."""
    empty = counter_streams([])
    assert energy(empty, 0.0, 1.0).energy_j is None
    witness = MeterInfo("test", "counter", "?", (Rail("rail", role="witness"),))
    reading = energy(StreamSet(witness, 1.0), 0.0, 1.0)
    assert reading.energy_j is None
    assert "no rail" in reading.reason


@pytest.mark.parametrize("window", [(2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_impossible_windows_are_errors(window):
    """A window that ends before it starts, or is not finite, is the caller's mistake."""
    with pytest.raises(ValueError, match="not a window"):
        energy(record(CURVES[0], "counter", period_s=0.5), *window)


def test_time_must_move_forward():
    """Two samples at one time, or backwards, are refused."""
    streams = counter_streams([(0.0, 0.0), (1.0, 1.0)])
    with pytest.raises(ValueError, match="backwards"):
        streams.append(RawSample(0, 1.0, 1.0, 2.0))


def test_power_trace_of_a_counter():
    """The trace holds mean power since the sample before; none at the start and after a reset."""
    streams = counter_streams([(0.0, 0.0), (2.0, 20.0), (3.0, 25.0), (4.0, 0.0), (5.0, 7.0)])
    assert power_trace(streams.streams[0]) == [(2.0, 10.0), (3.0, 5.0), (5.0, 7.0)]


def test_power_trace_of_samples():
    """Sampled power is shown as it was read."""
    streams = record(CURVES[1], "sampled", 2.0, 1.0)
    assert power_trace(streams.streams[0]) == [(0.0, 2.0), (1.0, 2.5), (2.0, 3.0)]


@given(
    st.lists(
        st.tuples(st.floats(0.001, 30.0), st.one_of(st.none(), st.floats(allow_nan=True))),
        max_size=40,
    ),
    st.floats(0.0, 100.0),
    st.floats(0.0, 100.0),
)
@settings(max_examples=200, deadline=None)
def test_any_counter_gives_a_possible_figure_or_none(steps, first, second):
    """Whatever a counter does, the figure is None with a reason, or a possible one."""
    time_s = 0.0
    streams = counter_streams([], wrap_range_j=500.0, max_power_w=40.0)
    for pause_s, value in steps:
        time_s += pause_s
        streams.append(RawSample(0, time_s, time_s, value))
    start_s, end_s = sorted((first, second))
    reading = energy(streams, start_s, end_s)
    assert set(reading.flags) <= set(FLAGS)
    if reading.energy_j is None:
        assert reading.reason
    else:
        assert -1e-6 <= reading.energy_j <= 40.0 * (end_s - start_s) + 1e-6
        assert reading.error_j >= 0.0


def watt_streams(watts, period_s=1.0, least_power_w=0.0, **rail):
    info = MeterInfo("test", "sampled", "board", (Rail("in", **rail),), least_power_w=least_power_w)
    streams = StreamSet(info, period_s)
    for step, power_w in enumerate(watts):
        streams.append(RawSample(0, step * period_s, step * period_s, power_w))
    return streams


def test_one_impossible_sample_is_dropped_and_counted():
    """3.7 kW from a GPU limited to 115 W: the other readings' 30 W stay, and a flag says so."""
    watts = [30.0] * 40
    watts[20] = 3700.0
    streams = watt_streams(watts, max_power_w=230.0)
    reading = energy(streams, 0.5, 38.5)
    assert reading.energy_j == pytest.approx(30.0 * 38.0)
    assert reading.flags == ("gap", "impossible")
    assert streams.streams[0].impossible[-1] == 1
    assert energy(streams, 25.5, 38.5).flags == ()


@pytest.mark.parametrize(
    ("watts", "words"),
    [
        ([5.0, 9999.0] * 20, "cannot draw"),  # half of all
        ([5.0] * 12 + [9999.0] * 2 + [5.0] * 12, "2 of 2. readings"),
        ([-5.0] * 30, "fewer than two samples"),
        ([5.0] * 10 + [-5.0] * 20, "the last 20 show what this device cannot draw"),
        ([5.0] * 10 + [None] * 20, "the last 20 reads failed"),
        ([5.0, None, None] * 12, "reads failed"),
    ],
)
def test_a_window_of_too_few_good_samples_has_no_figure(watts, words):
    """What remains is a biased choice: no joules, and the reason counts what was lost."""
    reading = energy(watt_streams(watts, max_power_w=34.0), 0.5, len(watts) - 1.5)
    assert reading.energy_j is None
    assert re.search(words, reading.reason)


def test_an_impossible_sample_in_a_short_window_spoils_it():
    """Two readings left of three are too few to judge the third by."""
    streams = watt_streams([5.0] * 10 + [9999.0] + [5.0] * 10, max_power_w=34.0)
    assert energy(streams, 9.2, 10.8).energy_j is None
    assert energy(streams, 1.0, 8.0).energy_j == pytest.approx(35.0)


@pytest.mark.parametrize(
    ("resolution_w", "power_w", "kept"),
    [(0.04, -0.08, True), (0.04, -0.09, False), (None, -1.0, True), (None, -1.1, False)],
)
def test_what_is_kept_below_zero(resolution_w, power_w, kept):
    """Two steps of the sensor, or 1 W where the step is not known."""
    assert Rail("in", resolution_w=resolution_w).can_draw(power_w) is kept


@pytest.mark.parametrize("kind", ["counter", "sampled"])
def test_less_than_a_device_draws_at_rest_is_no_figure(kind):
    """0.3 W from a board that cannot stay below 1.2 W: no joules, the mean is named."""
    info = MeterInfo("test", kind, "board", (Rail("a"), Rail("b")), least_power_w=1.2)
    streams = StreamSet(info, 1.0)
    for step in range(30):
        value = 0.15 * step if kind == "counter" else 0.15
        for rail in range(2):
            streams.append(RawSample(rail, float(step), float(step), value))
    reading = energy(streams, 1.0, 21.0)
    assert reading.energy_j is None
    assert "impossible" in reading.flags
    assert "0.3 W is less than" in reading.reason
