"""Only the card that works is watched, and what happens between two looks is not missed."""

import pytest

from devices import card_watch
from devices.card_watch import CardWatch, open_cards
from tests.devices.fake_nvml import GONE, FakeGpu, make_nvml
from tests.waiting import wait_for

FIRST = "GPU-0a2b3c4d-0000-1111-2222-333344445555"


@pytest.fixture
def quick(monkeypatch):
    """Let a second between two looks take a hundredth of one."""
    monkeypatch.setattr(card_watch, "LOOK_S", 0.01)


def watch(*gpus, uuid=FIRST, environment=None):
    module = make_nvml(*gpus)
    return CardWatch(uuid, module, environment or {}), module


def test_the_card_that_trains_is_found_by_its_name():
    hot = FakeGpu(1, CurrentClocksEventReasons=0x40, Temperature=93)
    watched, module = watch(FakeGpu(0), hot)
    assert (watched.look(), watched.temperature_c) == ([], 45.0)
    assert watched.stop() == []
    assert module.started == 0
    other, _ = watch(FakeGpu(0), hot, uuid=FIRST.replace("-0", "-1", 1))
    assert (other.stop(), other.temperature_c) == (["gpu-hw-thermal-slowdown"], 93.0)


@pytest.mark.parametrize(("visible", "flags"), [("1", ["gpu-power-brake"]), ("0", []), ("", [])])
def test_without_a_name_what_cuda_shows_counts(visible, flags):
    gpus = FakeGpu(0), FakeGpu(1, CurrentClocksEventReasons=0x88)
    watched, _ = watch(*gpus, uuid="", environment={"CUDA_VISIBLE_DEVICES": visible})
    assert watched.stop() == flags


def test_part_of_a_card_stands_for_the_whole():
    gpu = FakeGpu(0, CurrentClocksEventReasons=0x20)
    module = make_nvml(gpu)
    module.nvmlDeviceGetHandleByUUID = {"MIG-1": "part"}.__getitem__
    module.nvmlDeviceGetDeviceHandleFromMigDeviceHandle = {"part": gpu}.__getitem__
    assert CardWatch("MIG-1", module, {}).stop() == ["gpu-sw-thermal-slowdown"]


def test_what_acts_between_two_looks_is_seen(quick):
    gpu = FakeGpu(0)
    watched, _ = watch(gpu)
    gpu.answers["CurrentClocksEventReasons"] = 0x20
    wait_for(lambda: watched._acting)
    gpu.answers["CurrentClocksEventReasons"] = 0
    assert watched.stop() == ["gpu-sw-thermal-slowdown"]


def test_lately_forgets_and_the_whole_does_not():
    gpu = FakeGpu(0, ViolationStatus={0: 0, 1: 0})
    watched, _ = watch(gpu)
    gpu.answers["ViolationStatus"] = {0: 0, 1: 4_000_000}
    seen = []
    for _ in range(2):
        flags = watched.look()
        seen.append((watched.lately(), flags))
    watched.stop()
    hot = ["gpu-thermal-slowdown"]
    assert seen == [(hot, hot), ([], hot)]


def test_errors_of_the_card_are_told_and_those_of_programs_are_not():
    """79: the GPU has fallen off the bus; 31: a program touched memory that is not its own."""
    watched, module = watch(FakeGpu(0))
    assert module.registered == [0x8]
    module.xids += [31, 79, 79]
    assert watched.look() == ["gpu-xid-79"]
    assert watched.stop() == ["gpu-xid-79"]
    assert watched.stop() == []


def test_a_card_lost_on_the_way():
    gpu = FakeGpu(0)
    watched, module = watch(gpu)
    gpu.answers = dict.fromkeys(gpu.answers, GONE)
    assert watched.stop() == ["gpu-lost"]
    assert (watched.temperature_c, module.started) == (None, 0)


def test_without_driver_binding_or_card_nothing_is_said():
    nothing = CardWatch(module=make_nvml(start=GONE), environment={})
    assert (nothing.look(), nothing.lately(), nothing.stop(), nothing.temperature_c) == (
        [], [], [], None,
    )  # fmt: skip
    with open_cards(module=make_nvml(), environment={}) as cards:
        assert cards is None
    with open_cards("GPU-ffff", make_nvml(FakeGpu(0)), {}) as cards:
        assert cards is None


def test_a_driver_without_events_is_watched_all_the_same():
    gpu = FakeGpu(0, CurrentClocksEventReasons=0x4)
    module = make_nvml(gpu)
    del module.nvmlEventSetCreate
    assert CardWatch(FIRST, module, {}).stop() == ["gpu-power-cap"]
