"""Rails of one meter beside its total: what is a part says so, and what cannot be true says why."""

import pytest

from devices.meters.base import MeterInfo, Rail, RawSample
from devices.stream import StreamSet
from harness.measurement.meters import rail_joules


def board(total_w, *parts_w):
    """Return ten seconds of a module and its rails, each of constant power."""
    rails = (Rail("VDD_IN"), *(Rail(f"VDD_{name}", "witness") for name in ("CPU", "GPU")))
    streams = StreamSet(MeterInfo("ina3221", "sampled", "module", rails), 0.1)
    for n in range(101):
        for rail, power_w in enumerate((total_w, *parts_w)):
            streams.append(RawSample(rail, n / 10, n / 10, power_w))
    return streams


def test_parts_within_their_total_stand_beside_it():
    found = rail_joules(board(10.0, 4.0, 5.0), [(2.0, 4.0), (5.0, 7.0)], "ina3221")
    assert [(rail.component, rail.role) for rail in found] == [
        ("module", "total"), ("processor", "part"), ("gpu", "part"),
    ]  # fmt: skip
    assert [rail.joules.energy_j for rail in found] == pytest.approx([40.0, 16.0, 20.0])
    assert all(rail.joules.reason == "" for rail in found)


def test_parts_of_more_than_their_total_say_so():
    found = rail_joules(board(10.0, 7.0, 5.0), [(2.0, 4.0)], "ina3221")
    assert found[0].joules.reason == ""
    assert all("4 J more than their total" in rail.joules.reason for rail in found[1:])
    assert found[1].joules.energy_j == pytest.approx(14.0)  # what was read stays


def test_rails_of_a_witness_are_witnesses():
    found = rail_joules(board(10.0, 4.0, 5.0), [(2.0, 4.0)], "ina3221", "witness")
    assert {rail.role for rail in found} == {"witness"}
