"""The GPU's own temperature is read, wherever it stands, and that of no other part."""

import pytest

from devices.accelerator import Accelerator
from devices.gpu_heat import gpu_thermometer
from devices.thermal_zones import gpu_zone_c, hottest_c
from tests.devices.fake_nvml import GONE, FakeGpu, make_nvml

FIRST = "GPU-0a2b3c4d-0000-1111-2222-333344445555"
CARD = Accelerator("gpu", name="card", uuid=FIRST)
ORIN = Accelerator("gpu", name="Orin", shared_memory=True)


def board(root, **zones):
    """Write zones, type → millidegrees, as a kernel shows them."""
    for number, (kind, told) in enumerate(zones.items()):
        zone = root / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(kind.replace("_", "-") + "\n")
        (zone / "temp").write_text(f"{told}\n")
    return root


@pytest.mark.parametrize(
    ("zones", "gpu_c", "host_c"),
    [
        ({"CPU_therm": 61_000, "GPU_therm": 48_500, "PMIC_Die": 100_000}, 48.5, 61.0),
        ({"cpu_thermal": 50_000, "gpu_thermal": 55_250, "tj_thermal": 55_500}, 55.25, 55.5),
        ({"cpu_thermal": 50_000, "gpu_thermal": -256_000}, None, 50.0),  # switched off
        ({"cpu_thermal": 50_000, "gpu_thermal": ""}, None, 50.0),  # EAGAIN reads as nothing
        ({"x86_pkg_temp": 70_000}, None, 70.0),
        ({}, None, None),
    ],
)
def test_a_board_tells_of_its_gpu_by_a_zone(tmp_path, zones, gpu_c, host_c):
    root = board(tmp_path, **zones)
    assert (gpu_zone_c(root), hottest_c(root)) == (gpu_c, host_c)
    with gpu_thermometer(ORIN, root, make_nvml()) as read_c:
        assert read_c() == gpu_c


def test_a_card_tells_by_its_driver_and_zones_of_the_computer_are_not_its(tmp_path):
    hot = FakeGpu(0, Temperature=71)
    module = make_nvml(hot, FakeGpu(1, Temperature=90))
    with gpu_thermometer(CARD, board(tmp_path, gpu_thermal=30_000), module, {}) as read_c:
        assert read_c() == 71.0
        hot.answers["Temperature"] = 64
        assert read_c() == 64.0
        hot.answers["Temperature"] = GONE
        assert read_c() is None
    assert module.started == 0


def test_a_processor_has_none_and_a_board_without_its_zone_may_have_a_driver(tmp_path):
    module = make_nvml(FakeGpu(0, Temperature=52))
    with gpu_thermometer(Accelerator(), tmp_path, module, {}) as read_c:
        assert read_c() is None
    assert module.started == 0
    with gpu_thermometer(ORIN, tmp_path, module, {}) as read_c:
        assert read_c() == 52.0
