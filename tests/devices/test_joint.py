"""Meters read as one: joules of processor and GPU add up, and what cannot be added is refused."""

from __future__ import annotations

import pytest

from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.joint import JointMeter
from devices.meters.nvml import NvmlMeter
from devices.meters.rapl import RaplMeter
from devices.meters.registry import make_meter, probe_meter, split_sum
from devices.stream import StreamSet
from tests.devices.fake_nvml import FakeGpu, make_nvml

ZONE = "sys/class/powercap/intel-rapl:0/energy_uj"


class Sensors:
    """Let a processor draw 30 W and a GPU 100 W on one clock."""

    def __init__(self, root, clock, **gpu):
        self.root, self.clock = root, clock
        self.gpu = FakeGpu(0, **gpu)
        self.start_uj = int((root / ZONE).read_text())
        parts = [RaplMeter(root, clock), NvmlMeter(clock=clock, module=make_nvml(self.gpu))]
        self.meter = JointMeter(parts, root, clock)

    def streams(self, seconds):
        """Read ten times a second."""
        found = StreamSet(self.meter.describe(), 0.1)
        begin_s = self.clock.now_s
        for step in range(10 * seconds + 1):
            passed_s = step / 10
            self.clock.now_s = begin_s + passed_s
            (self.root / ZONE).write_text(str(self.start_uj + int(30e6 * passed_s)))
            if not isinstance(self.gpu.answers["TotalEnergyConsumption"], Exception):
                self.gpu.answers["TotalEnergyConsumption"] = 5_000_000 + int(1e5 * passed_s)
            for sample in self.meter.read():
                found.append(sample)
        return found, begin_s


@pytest.fixture
def sensors(board, clock):
    def make(**gpu):
        return Sensors(board("amd-ryzen"), clock, **gpu)

    return make


def test_joules_of_processor_and_gpu_add_up(sensors) -> None:
    here = sensors()
    here.meter.open()
    info = here.meter.describe()
    assert (info.meter, info.kind, info.scope) == ("rapl+nvml", "counter", "package+gpu")
    assert [rail.name for rail in info.rails] == ["rapl/package-0", "nvml/00000000:01:00.0"]
    streams, begin_s = here.streams(4)
    reading = energy(streams, begin_s + 1.0, begin_s + 3.0)
    assert reading.energy_j == pytest.approx(2 * 130.0, abs=reading.error_j)
    steps_j = 2 * 0.1 * 400.0  # the GPU's counter moves every 0.1 s, by 400 W at most
    assert reading.error_j == pytest.approx(steps_j, rel=1e-4)


def test_a_gpu_that_is_lost_leaves_no_figure_for_the_whole(sensors) -> None:
    """Half of a sum is not the sum."""
    here = sensors()
    here.meter.open()
    module = here.gpu
    module.answers["TotalEnergyConsumption"] = type(module.answers["MigMode"])("GPU is lost")
    streams, begin_s = here.streams(4)
    reading = energy(streams, begin_s + 1.0, begin_s + 3.0)
    assert reading.energy_j is None
    assert "nvml" in reading.reason


def test_a_counter_and_sampled_power_are_not_joined(sensors) -> None:
    silent = type(FakeGpu(0).answers["MigMode"])("Not Supported")
    here = sensors(TotalEnergyConsumption=silent)
    with pytest.raises(DeviceError, match="rapl is counter, nvml is sampled") as caught:
        here.meter.open()
    assert "harness.measure" in caught.value.remedy
    with pytest.raises(DeviceError, match="not open"):
        here.meter.describe()


def test_what_contains_another_is_not_added(board, clock) -> None:
    root = board("amd-ryzen")
    twice = JointMeter([RaplMeter(root, clock), RaplMeter(root, clock)], root, clock)
    with pytest.raises(DeviceError, match="twice"):
        twice.open()


def test_the_first_part_that_cannot_be_used_says_why(board, clock, tmp_path) -> None:
    root = board("amd-ryzen")
    absent = NvmlMeter(clock=clock, module=make_nvml())
    answer = JointMeter([RaplMeter(root, clock), absent], root, clock).judge()
    assert not answer.usable
    assert (answer.meter, answer.reason) == ("nvml", "NVML sees no GPU")
    assert probe_meter("simulated+rapl", tmp_path).meter == "rapl"


def test_sums_are_told_from_options_with_a_plus() -> None:
    assert split_sum("rapl+nvml:gpu=GPU-a+GPU-b") == ["rapl", "nvml:gpu=GPU-a+GPU-b"]
    assert split_sum("replay:scope=package+dram,file=a+nvml") == [
        "replay:scope=package+dram,file=a", "nvml",
    ]  # fmt: skip
    assert isinstance(make_meter("rapl+nvml"), JointMeter)


def test_made_up_figures_stay_made_up_in_a_sum() -> None:
    assert make_meter("rapl+simulated").made_up
    assert not make_meter("rapl+nvml").made_up
