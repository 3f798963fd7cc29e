"""What has happened lately is told apart from what has happened since the start."""

import os
from dataclasses import replace

import pytest

from devices.board_counters import read_counters
from devices.card_watch import CardWatch
from harness.measurement import conditions
from harness.measurement.conditions import Conditions, HostClocks
from harness.measurement.pauses import PauseWatch
from tests.devices.fake_nvml import FakeGpu, make_nvml

HZ = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Return what lets seconds pass in which others keep some cores busy."""
    now = {"t": 0.0, "busy": 0.0}
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/stat").write_text("1 (x) R " + " ".join(["0"] * 49))
    monkeypatch.setattr(
        conditions,
        "read_counters",
        lambda root, own: replace(read_counters(root, own), time_s=now["t"]),
    )

    def pass_s(seconds: float, cores: float) -> None:
        now["t"] += seconds
        now["busy"] += seconds * cores
        (tmp_path / "proc/stat").write_text(f"cpu  {round(now['busy'] * HZ)} 0 0 0 0 0 0 0 0 0\n")

    pass_s(0.0, 0.0)
    still = HostClocks(lambda: 0.0, lambda: 0.0, lambda: 0.0)
    watch = PauseWatch(lambda: 0.0, lambda: 0.0)
    board = conditions.read_board_state

    def looked(root, programs, own=()):
        found = board(root, programs, own)
        return replace(found, counters=replace(found.counters, time_s=now["t"]))

    monkeypatch.setattr(conditions, "read_board_state", looked)
    return Conditions((), tmp_path, still, pauses=watch), pass_s


def test_a_mark_lasts_as_long_as_what_disturbs(host):
    watched, pass_s = host
    seen = []
    for cores in (0.0, 1.5, 1.5, 0.0):
        pass_s(4.0, cores)
        flags = watched.so_far().flags
        seen.append((watched.lately, "foreign-load" in flags))
    loaded = ("foreign-load",)
    assert seen == [((), False), (loaded, True), (loaded, True), ((), True)]


def test_a_moment_too_short_to_judge_keeps_the_mark(host):
    watched, pass_s = host
    pass_s(4.0, 1.5)
    watched.so_far()
    pass_s(0.2, 0.0)
    watched.so_far()
    assert watched.lately == ("foreign-load",)


def test_flags_and_temperature_of_the_card_that_works(host):
    """A card's flags stand beside those of the board; where none works both are empty."""
    watched, pass_s = host
    assert watched.first.gpu_temperature_c is None
    gpu = FakeGpu(0, CurrentClocksEventReasons=0x4)
    watched._cards = CardWatch(module=make_nvml(gpu), environment={})
    pass_s(4.0, 1.5)
    gpu.answers["Temperature"] = 91
    gpu.answers["ViolationStatus"] = {0: 0, 1: 9_000_000}
    look = watched.so_far()
    flags = ("foreign-load", "gpu-power-cap", "gpu-thermal-slowdown")
    assert (look.flags, look.gpu_temperature_c) == (flags, 91.0)
    assert watched.lately == flags
    assert set(watched.at_end().flags) >= {"gpu-power-cap", "gpu-thermal-slowdown"}
