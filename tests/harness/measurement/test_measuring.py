"""The meter of a run and what the manifest says of it."""

import time

import pytest

from harness.core.errors import MeterMissingError
from harness.measurement.idle import idle_power_w
from harness.measurement.measuring import measuring
from harness.measurement.phases import PhaseLog

SIMULATED = "simulated:high_w=12"


def test_no_meter_tells_why_and_gives_nothing():
    """Without a meter there is a reason and no figure of any kind."""
    with measuring(None, "none here", 10.0, PhaseLog()) as own:
        assert own.reason == "none here"
        assert own.rest(1.0) is None
        assert own.streams(0.0) is None
        assert own.describe() is None
        assert own.trace(0.0, 1.0, 0.0) == []


def test_a_meter_that_cannot_start_is_an_error(tmp_path):
    """A meter that looked usable but is not here ends the run before it begins."""
    with (
        pytest.raises(MeterMissingError, match="no RAPL"),
        measuring("rapl", "", 10.0, PhaseLog(), tmp_path),
    ):
        pass


def test_the_idle_window_tells_what_the_collector_costs():
    """The manifest holds the collector's share of one core, measured while nothing else ran."""
    with measuring(SIMULATED, "", 20.0, PhaseLog()) as own:
        reading = own.rest(1.1)
        told = own.describe()
    assert idle_power_w(reading) == pytest.approx(12.0, rel=1e-3)
    assert (told["name"], told["rate_hz"]) == ("simulated:high_w=12", 20.0)
    cost = told["collector_cost"]
    assert cost["during"] == "idle"
    assert 0.0 < cost["cpu_share"] < 1.0
    assert 0.9 < cost["window_s"] < 10.0
    assert cost["reads"] > 10
    assert cost["read_s"] >= 0.0
    assert told["collector_cpu_s"] > cost["cpu_share"] * cost["window_s"]


def test_the_first_idle_window_stays():
    """A later window, after the training, does not replace what was found at the start."""
    with measuring(SIMULATED, "", 20.0, PhaseLog()) as own:
        own.rest(1.1)
        first = own.describe()["collector_cost"]
        own.rest(1.1)
        assert own.describe()["collector_cost"] == first


def test_without_an_idle_window_the_run_tells():
    """Then the cost is that of the whole run so far, and says so."""
    with measuring(SIMULATED, "", 20.0, PhaseLog()) as own:
        assert own.rest(0.0) is None
        time.sleep(1.2)
        own.streams(time.monotonic())
        assert own.describe()["collector_cost"]["during"] == "run"


def test_power_of_a_moment_ago_is_told_for_cooling_down():
    """The mean of a constant 12 W since a moment is 12 W; without a meter nothing is known."""
    with measuring(SIMULATED, "", 20.0, PhaseLog()) as own:
        own.rest(0.3)
        began_s = time.monotonic()
        time.sleep(0.4)
        assert own.power_since(began_s) == pytest.approx(12.0, rel=1e-3)
    with measuring(None, "none here", 10.0, PhaseLog()) as own:
        assert own.power_since(0.0) is None
