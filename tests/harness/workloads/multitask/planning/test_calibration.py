"""Check what is made of timings: encoder and decoders apart, arithmetic and the rest apart."""

import json

import pytest
import torch
from torch import nn

from devices.time_model import HostTiming
from harness.workloads.multitask.config import make_multitask_config
from harness.workloads.multitask.methods.cost import Calibration
from harness.workloads.multitask.planning import calibration
from harness.workloads.multitask.planning.calibration import (
    RunTiming,
    calibrate,
    recorded_timing,
    take_timing,
    time_host,
)
from models.execution import PLAIN
from models.multitask.layer_work import time_layers


@pytest.fixture
def clocked(monkeypatch):
    """Return a function that calibrates with steps of the given seconds, by tasks."""

    def run(architecture, tasks, step_s):
        config = make_multitask_config({"batch_size": 2, "size": 16, "tasks": tasks})
        now = [0.0]

        def step_of(net, _config):
            def step():
                now[0] += step_s["".join(net.tasks)]

            return step

        monkeypatch.setattr(calibration, "random_step", step_of)
        found = calibrate(architecture, config, clock=lambda: now[0])
        return {part: seconds * 3 * config.batch_size for part, seconds in found.forward_s.items()}

    return run


def test_every_part_is_told_by_its_own_timing(clocked, tiny_architecture) -> None:
    """E = 0.2 s; s, d and n alone take 0.5, 0.3 and 0.35 s, and k and t are of the kind of d."""
    alone = {"s": 0.5, "d": 0.3, "n": 0.35}

    found = clocked(tiny_architecture, "sdnkt", {**alone, "sdnkt": 0.95})

    assert found == pytest.approx(
        {"encoder": 0.2, "s": 0.3, "d": 0.1, "n": 0.15, "k": 0.1, "t": 0.1}
    )


def test_one_by_one_and_all_in_one_are_predicted_without_bias(clocked, tiny_architecture) -> None:
    """Decoders side by side take less than alone, yet both methods' steps come out as timed."""
    alone = {"s": 0.62, "d": 0.41, "n": 0.43}

    found = clocked(tiny_architecture, "sdn", {**alone, "sdn": 0.9})

    decoders = sum(found[task] for task in "sdn")
    assert found["encoder"] + decoders == pytest.approx(0.9)
    assert 3 * found["encoder"] + decoders == pytest.approx(sum(alone.values()))


@pytest.mark.parametrize(
    ("merged_s", "encoder_s"), [(0.8, 0.0), (0.1, 0.3)], ids=["too long", "too short"]
)
def test_noise_leaves_no_part_negative(merged_s, encoder_s, clocked, tiny_architecture) -> None:
    """Merged steps longer than both alone, or shorter than one: the nearest possible encoder."""
    found = clocked(tiny_architecture, "sd", {"s": 0.4, "d": 0.3, "sd": merged_s})

    assert found["encoder"] == pytest.approx(encoder_s)
    assert min(found.values()) >= 0.0


def test_a_single_task_is_timed_as_a_whole(clocked, tiny_architecture) -> None:
    assert clocked(tiny_architecture, "d", {"d": 0.3}) == pytest.approx({"encoder": 0.3, "d": 0.0})


def test_few_turns_are_enough_where_steps_are_long(monkeypatch, tiny_architecture) -> None:
    """Steps of a minute: one that is not counted and two that are, of each network."""
    now, taken = [0.0], []

    def step_of(net, _config):
        def step():
            now[0] += 60.0
            taken.append(net)

        return step

    monkeypatch.setattr(calibration, "random_step", step_of)
    config = make_multitask_config({"batch_size": 2, "size": 16, "tasks": "sd"})
    calibrate(tiny_architecture, config, clock=lambda: now[0])

    assert len(taken) == 3 * 3


def test_what_is_timed_survives_the_manifest() -> None:
    host = HostTiming({"encoder": 0.1, "s": 0.02}, {"encoder": 0.8, "s": 0.25}, 1e11, 4e10)
    for timing in (RunTiming(Calibration({"encoder": 0.3, "s": 0.1}), host),
                   RunTiming(Calibration({"encoder": 0.3}))):  # fmt: skip
        assert recorded_timing(json.loads(json.dumps(timing.as_dict()))) == timing


@pytest.mark.parametrize(
    "manifest",
    [{}, {"calibration": None}, {"calibration": {"encoder_s": 1.0, "decoder_s": 0.2}},
     {"calibration": {"forward_s": [1.0]}},
     {"calibration": {"forward_s": {}}, "host_timing": {"forward_s": {}}}],
    ids=["nothing", "null", "earlier version", "no table", "half a host"],
)  # fmt: skip
def test_what_a_manifest_does_not_tell_is_timed_anew(manifest) -> None:
    assert recorded_timing(manifest) is None


def test_a_host_is_timed_for_another_device_only(tiny_architecture) -> None:
    """The parts' seconds are those of plain steps; shares are shares and rates are positive."""
    config = make_multitask_config({"batch_size": 2, "size": 16, "tasks": "sdk"})

    own = take_timing(config, tiny_architecture, PLAIN, models_device=False)
    other = take_timing(config, tiny_architecture, PLAIN, models_device=True)

    assert own.host is None
    host = other.host
    assert host is not None
    assert host.forward_s == other.calibration.forward_s
    assert set(host.arithmetic) == {"encoder", "s", "d", "k"}
    assert all(0.0 <= share <= 1.0 for share in host.arithmetic.values())
    assert min(host.flop_per_s, host.memory_bytes_per_s) > 0.0


def test_time_beyond_the_layers_is_not_arithmetic(tiny_architecture, monkeypatch) -> None:
    """Layers of 3 s, 2 of them arithmetic, in a step of 8 s: a quarter; of 2 s: two thirds."""
    monkeypatch.setattr(
        calibration, "time_layers", lambda *_, **__: calibration.LayerTimes(3, 2, 6)
    )
    config = make_multitask_config({"batch_size": 2, "size": 16, "tasks": "sd"})
    plain = Calibration({"encoder": 8 / 6, "s": 2 / 6, "d": 2 / 6})
    ticks = iter(range(100))

    host = time_host(tiny_architecture, config, plain, clock=lambda: float(next(ticks)))

    assert host.arithmetic == pytest.approx({"encoder": 1 / 4, "s": 2 / 3, "d": 2 / 3})
    assert host.flop_per_s == pytest.approx(6 / 2)
    assert host.memory_bytes_per_s == pytest.approx(2 * calibration.COPIED_BYTES / 1.0)


def test_layers_are_told_apart_by_what_bounds_them() -> None:
    """A wide convolution is arithmetic and its operations are known; an activation is none."""
    wide = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(inplace=True))

    both = time_layers(wide, torch.rand(4, 64, 32, 32), images=False)
    activation = time_layers(nn.ReLU(), torch.rand(4, 64, 32, 32), images=False)

    assert both.flop == 3 * 2 * 4 * 32 * 32 * 64 * 64 * 9
    assert 0.5 * both.total_s < both.arithmetic_s < both.total_s
    assert (activation.arithmetic_s, activation.flop) == (0.0, 0.0)


def test_nothing_flows_back_into_images() -> None:
    """Before the first layer that has weights no gradient is computed, behind it one is."""

    class Probe(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.asked: set[bool] = set()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.asked |= {x.requires_grad} if torch.is_grad_enabled() else set()
            return x * 1.0

    before, behind = Probe(), Probe()
    net = nn.Sequential(before, nn.Conv2d(3, 3, 1), behind)
    time_layers(net, torch.rand(1, 3, 4, 4), images=True)

    assert (before.asked, behind.asked) == ({False}, {True})


def test_processor_seconds_of_steps_are_counted(monkeypatch, tiny_architecture) -> None:
    """Every step takes 0.2 s and 0.3 processor seconds: one and a half cores, in the manifest."""
    config = make_multitask_config({"batch_size": 2, "size": 16, "tasks": "sd"})
    now = {"t": 0.0, "cpu": 0.0}

    def step_of(_net, _config):
        def step():
            now["t"] += 0.2
            now["cpu"] += 0.3

        return step

    monkeypatch.setattr(calibration, "random_step", step_of)
    found = calibrate(
        tiny_architecture, config, clock=lambda: now["t"], cpu_clock=lambda: now["cpu"]
    )
    assert found.busy_cores == pytest.approx(1.5)
    timing = RunTiming(found, None, 0.7)
    assert recorded_timing(json.loads(json.dumps(timing.as_dict()))) == timing
    old = {"calibration": {"forward_s": dict(found.forward_s)}}
    assert recorded_timing(old) == RunTiming(Calibration(dict(found.forward_s)))
