"""Check how a host's seconds are carried over to another device."""

from typing import NamedTuple

import pytest

from devices.profile import find_profile, load_profiles
from devices.time_model import GpuTimeModel, HostTiming, TimeModel

HOST = HostTiming(
    forward_s={"encoder": 10.0, "s": 2.0, "d": 4.0},
    arithmetic={"encoder": 0.8, "s": 0.5, "d": 0.0},
    flop_per_s=100.0,
    memory_bytes_per_s=30.0,
)


def test_each_kind_of_work_is_carried_over_by_its_own_ratio():
    """Arithmetic five times and the rest thrice slower: 8·5 + 2·3, 1·5 + 1·3 and 4·3 seconds."""
    model = TimeModel(flop_per_s=20.0, memory_bytes_per_s=10.0)

    assert model.forward_s(HOST) == pytest.approx({"encoder": 46.0, "s": 8.0, "d": 12.0})


def test_the_host_itself_takes_what_it_took():
    model = TimeModel(HOST.flop_per_s, HOST.memory_bytes_per_s)

    assert model.forward_s(HOST) == pytest.approx(dict(HOST.forward_s))


def test_convolutions_of_the_encoder_reach_the_throughput_of_the_profile():
    """8 s at 100 flop/s are 800 operations: at 11.9 GFLOP/s they take 800 / 11.9e9 s there."""
    profile = find_profile("raspberry-pi-4")
    only = HostTiming({"encoder": 8.0}, {"encoder": 1.0}, 100.0, 30.0)

    found = TimeModel.from_profile(profile).forward_s(only)

    assert found["encoder"] == pytest.approx(800 / profile.compute.flop_per_s)


@pytest.mark.parametrize("profile", load_profiles(), ids=lambda profile: profile.name)
def test_a_decoder_is_never_cheaper_than_either_kind_of_its_work_says(profile):
    """It has 1/8 of the encoder's arithmetic and 1/2 of the rest: every board lies between."""
    found = TimeModel.from_profile(profile).forward_s(HOST)

    assert 1.0 / 8.0 < found["s"] / found["encoder"] < 1.0 / 2.0


class Work(NamedTuple):
    flop: float
    moved_bytes: float
    count: int


@pytest.mark.parametrize(
    ("work", "seconds"),
    [
        (Work(4e9, 1e6, 3), 3 * 4.0),  # bound by arithmetic
        (Work(1e6, 6e8, 2), 2 * 6.0),  # by memory
        (Work(8.0, 64.0, 5), 5 * 1e-3),  # by launches
    ],
)
def test_gpu_kernel_takes_the_longest_of_its_three_bounds(work, seconds):
    model = GpuTimeModel(flop_per_s=1e9, memory_bytes_per_s=1e8, launch_s=1e-3)
    assert model.time_s([work]) == pytest.approx(seconds)
    assert model.time_s([work, work]) == pytest.approx(2 * seconds)
