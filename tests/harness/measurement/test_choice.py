"""Which meters are taken for what is asked, and what is said where none is."""

from pathlib import Path

import pytest

from harness.core.errors import MeterMissingError, Problems
from harness.measurement.choice import FoundMeters, find_meters

HERE = Path("/")


def found(asked, profile=None, **more):
    problems = Problems()
    meters = find_meters(asked, profile, HERE, problems, **more)
    return meters, [str(problem) for problem in problems.found]


def test_meters_are_joined_by_a_plus():
    """`auto` and `none` are no meters."""
    both, said = found("simulated+simulated:kind=counter")
    assert (both.totals, said) == (("simulated", "simulated:kind=counter"), [])
    assert "auto and none stand alone" in found("simulated+auto")[1][0]


def test_without_a_meter_there_is_a_reason():
    """It stands in every row that lacks joules."""
    assert found("none")[0].reason == "no meter was asked for (--meter none)"
    assert found("auto")[0].reason == "no profile fits this host"


@pytest.mark.parametrize(
    ("meters", "message", "remedy"),
    [
        (FoundMeters(), "cannot be measured", "attach a meter"),
        (FoundMeters((), "no sensor", "Load the module."), "no sensor", "Load the module."),
        (FoundMeters(("simulated:kind=counter",)), "meter simulated are made up", "name a sensor"),
    ],
)
def test_a_demand_for_a_meter_is_not_met_by_none_or_by_made_up_figures(meters, message, remedy):
    """What would make one work is told, where it is known."""
    with pytest.raises(MeterMissingError) as caught:
        meters.require()
    assert message in caught.value.message
    assert remedy in caught.value.remedy


def test_a_wrong_name_is_told_with_the_nearest():
    """Before anything is measured."""
    meters, said = found("simulatd")
    assert meters == FoundMeters()
    assert "simulated" in said[0]
