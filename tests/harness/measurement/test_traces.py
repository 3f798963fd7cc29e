"""A trace holds what a cell's joules rest on, however short the cell is."""

import pytest

from devices.energy import energy
from devices.meters.base import Kind, MeterInfo, Rail, RawSample
from devices.stream import StreamSet
from harness.measurement.traces import trace_rows


def streams(kind: Kind) -> StreamSet:
    """Return ten seconds of 5 W, read once a second."""
    found = StreamSet(MeterInfo("m", kind, "board", (Rail("in"),)), 1.0)
    for second in range(10):
        value = 5.0 * second if kind == "counter" else 5.0
        found.append(RawSample(0, float(second), float(second), value))
    return found


@pytest.mark.parametrize("kind", ["counter", "sampled"])
def test_a_window_holds_its_samples_and_those_around_it(kind: Kind) -> None:
    """Its joules rest on the two around it as well, so without them nobody could recompute them."""
    rows = trace_rows(streams(kind), 1.5, 4.5, 1.0)
    assert [row["t_s"] for row in rows] == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("kind", ["counter", "sampled"])
@pytest.mark.parametrize("window", [(3.2, 3.6), (2.9, 3.1)])
def test_a_window_shorter_than_the_period_has_those_around_it(kind: Kind, window) -> None:
    """It has a figure, so there must be something to see of it: samples that span it."""
    found = streams(kind)
    assert energy(found, *window).energy_j == pytest.approx(5.0 * (window[1] - window[0]))
    times = [float(str(row["t_s"])) for row in trace_rows(found, *window, 0.0)]
    assert times[0] <= window[0]
    assert times[-1] >= window[1]
