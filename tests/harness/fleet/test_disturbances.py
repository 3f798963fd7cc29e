"""A device notices what spoils its measurement, cell by cell; the board is a tree of files."""

import pytest

from devices.accelerator import Accelerator
from devices.card_watch import CardWatch
from harness.fleet.disturbances import Disturbances
from harness.measurement.conditions import Conditions
from tests.devices.fake_nvml import FakeGpu, make_nvml
from tests.devices.test_card_watch import FIRST


@pytest.fixture
def board(tmp_path):
    """A processor whose count of slowdowns is written by `throttled`, and a card."""
    core = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle"
    core.mkdir(parents=True)
    gpu = FakeGpu(0)

    def throttled(count):
        (core / "core_throttle_count").write_text(f"{count}\n")

    def watch(own):
        return Conditions(own, tmp_path, cards=CardWatch(FIRST, make_nvml(gpu), {}))

    throttled(3)
    found = Disturbances(Accelerator("gpu", uuid=FIRST), (), watch)
    yield found, throttled, gpu
    found.end()


def test_what_happens_is_told_of_the_cell_it_happens_in(board):
    found, throttled, gpu = board
    assert found.look("one") == ()
    found.begin("one")
    assert found.look("one") == ()
    throttled(4)
    gpu.answers["CurrentClocksEventReasons"] = 0x80
    found.begin("one")  # the next request of the same cell
    assert set(found.look("one")) == {"throttled", "gpu-power-brake"}
    gpu.answers["CurrentClocksEventReasons"] = 0
    found.end()
    assert set(found.look("one")) == {"throttled", "gpu-power-brake"}
    assert found.look("two") == ()
    found.begin("two")
    assert found.look("two") == ()
    assert found.look("one") == ()


def test_a_card_that_is_lost_is_told_and_work_beside_this_one_is_not(board):
    found, _, gpu = board
    found.begin("one")
    for query in gpu.answers:
        gpu.answers[query] = type(gpu.answers["MigMode"])("GPU is lost")
    found._take(type(found._conditions.first)(0.0, None, ("foreign-load",)))
    found.end()
    assert found.look("one") == ("gpu-lost",)
