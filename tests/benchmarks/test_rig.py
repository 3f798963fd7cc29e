"""The fake trees of the meter benchmarks, seen by the meters themselves."""

import pytest

from devices.meters.ina3221 import Ina3221Meter
from devices.meters.rapl import RaplMeter
from tests.benchmarks.player import parse_source
from tests.benchmarks.rig import counter_tree, sensor_tree


def opened(meter):
    meter.open()
    try:
        return meter.describe(), [sample.value for sample in meter.read()]
    finally:
        meter.close()


def test_counter_tree_is_one_package_that_wraps(tmp_path):
    """The package is the total, its range is told, and it stands where the wave begins."""
    file, source = counter_tree(tmp_path, "steps", 400_000_000, 5_000_000).split("=")
    info, values = opened(RaplMeter(tmp_path))
    (rail,) = info.rails
    assert (rail.name, rail.role, rail.wrap_range_j) == ("package-0", "total", 400.0)
    assert values == [5.0]
    assert (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").samefile(file)
    assert parse_source(source).range_uj == 400_000_000


def test_sensor_tree_is_a_board_that_averages(tmp_path):
    """The module's input is the total; at rest it is 20 W; the driver tells 0.43 s."""
    sensor_tree(tmp_path, "ramps", 0.45)
    info, values = opened(Ina3221Meter(tmp_path))
    assert [(rail.name, rail.role) for rail in info.rails] == [("VDD_IN", "total")]
    assert (info.averaging_s, info.scope) == (0.43, "module")
    assert values == pytest.approx([20.0])
