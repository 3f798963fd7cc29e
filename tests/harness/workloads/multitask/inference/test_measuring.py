"""Rows hold the joules of a known power, the latencies of an injected clock, and sums of losses."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from devices.card_watch import CardWatch
from devices.meters.base import MeterInfo, Rail, RawSample
from devices.power_model import PowerModel
from devices.stream import StreamSet
from devices.time_model import HostTiming, TimeModel
from harness.measurement.cost import Accountant, DeviceModel
from harness.measurement.measuring import MeasuringSession
from harness.measurement.meters import MeterSet
from harness.measurement.phases import PhaseLog
from harness.workloads.multitask.inference import measuring
from harness.workloads.multitask.inference.accuracy import Verdict
from harness.workloads.multitask.inference.measuring import (
    Lengths,
    Ready,
    Variant,
    WindowMeter,
    WindowTask,
    subject,
    tasks_of,
)
from harness.workloads.multitask.inference.memory import MemoryProbe, Peak
from harness.workloads.multitask.inference.networks import load_network
from tests.devices.fake_nvml import FakeGpu, make_nvml

WATTS = 5.0
TICK_S = 0.125
EAGER = Variant("torch", "fp32", "cpu")
ORT = Variant("onnxruntime", "fp32", "cpu")
INT8 = Variant("onnxruntime", "int8", "cpu")
CUDA = Variant("onnxruntime", "fp32", "cuda")
POWER = PowerModel(idle_w=2.0, full_load_w=10.0, cores=2, source="test")


class Ticking:
    """A clock that goes on by an eighth of a second each time it is read."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += TICK_S
        return self.now_s


class FiveWatts(MeasuringSession):
    """A meter that read 5 W all along."""

    reason = ""

    def streams(self, until_s):
        info = MeterInfo("test", "sampled", "board", (Rail("in"),), max_rate_hz=10.0)
        found = StreamSet(info, 0.1)
        for step in range(round(until_s * 10) + 3):
            found.append(RawSample(0, step / 10, step / 10, WATTS))
        return found


def make_bench(kind=FiveWatts, device=None, matches=True) -> WindowMeter:
    clock = Ticking()
    log = PhaseLog(clock, lambda: 0.5 * clock.now_s)
    target = SimpleNamespace(matches=matches, threads=1)
    images = np.zeros((4, 3, 8, 8), np.float32)
    session = kind(MeterSet((), "no sensor"), log, Accountant(POWER, device))
    bench = WindowMeter(target, session, images, Lengths(1.0, 3, 0.1), "tiny")
    bench.clock = clock
    bench.peak = lambda probe: Peak(1000 + probe.batch_size, 7)
    return bench


@pytest.fixture
def ready(deployed, tiny_architecture) -> Ready:
    """Two tiny networks: losses 1 and 2 of s and d, 4 of n."""
    cell = deployed("sd", "n")
    nets = {m.job: load_network(tiny_architecture, m.trained, m.weights) for m in cell.models}
    verdicts = {
        ("sd", EAGER.name): Verdict({"s": 1.0, "d": 2.0}, {}, {}, {}),
        ("n", EAGER.name): Verdict({"n": 4.0}, {}, {}, {}),
    }
    return Ready(cell, nets, {}, {}, verdicts)


def test_a_complete_answer_goes_through_all_models(ready) -> None:
    """5 W over the window are its joules; every image has one share of them."""
    bench = make_bench()
    row = bench.measure(ready, WindowTask(EAGER, "single-stream", 1, 1), zero_s=-2.0)

    segment = bench.session.log.segments[-1]
    assert segment.label.phase == "infer"
    assert row["energy_j"] == pytest.approx(WATTS * segment.time_s)
    assert row["energy_per_image_j"] == pytest.approx(WATTS * segment.time_s / row["images"])
    assert row["images"] == row["queries"] >= 3
    assert row["latency_p50_s"] == pytest.approx(TICK_S)
    assert row["latency_p99_s"] is None  # a handful of queries
    assert row["throughput_images_per_s"] == pytest.approx(row["images"] / segment.time_s)
    assert (row["total_loss"], row["models"], row["tasks"], row["job"]) == (7.0, 2, "sdn", "")
    assert row["start_s"] == pytest.approx(segment.start_s + 2.0)
    assert row["model_bytes"] == sum(m.weights.stat().st_size for m in ready.deployment.models)
    assert (row["peak_memory_bytes"], row["peak_memory_models_bytes"]) == (1001, 7)
    parts = dict(segment.work.forwards)
    assert parts == {"encoder": 2.0 * row["images"], **dict.fromkeys("sdn", row["images"])}


@pytest.mark.parametrize(
    ("provider", "flagged"), [("cuda", True), ("tensorrt", True), ("cpu", False)]
)
def test_what_slows_the_card_that_answers_is_in_the_row(
    ready, monkeypatch, provider, flagged
) -> None:
    """A card that is hot says nothing of answers that the processor gives."""
    module = make_nvml(FakeGpu(0, CurrentClocksEventReasons=0x20))
    monkeypatch.setattr(measuring, "CardWatch", lambda: CardWatch(module=module, environment={}))
    variant = Variant("torch", "fp32", provider)
    told = {(job, variant.name): v for (job, _), v in ready.verdicts.items()}
    row = make_bench().measure(
        replace(ready, verdicts=told), WindowTask(variant, "single-stream", 1, 1), zero_s=0.0
    )
    assert ("gpu-sw-thermal-slowdown" in row["flags"]) is flagged
    assert module.started == 0


def test_offline_counts_images_of_batches_and_has_no_latency(ready) -> None:
    row = make_bench().measure(ready, WindowTask(EAGER, "offline", 1, 8), zero_s=0.0)
    assert row["images"] == 8 * row["queries"]
    assert row["latency_mean_s"] is None
    assert row["latency_p90_s"] is None
    assert row["peak_memory_bytes"] == 1008


def test_a_model_alone_has_its_own_tasks_and_loss(ready) -> None:
    task = WindowTask(EAGER, "single-stream", 1, 1, ready.deployment.models[0])
    row = make_bench().measure(ready, task, zero_s=0.0)
    assert (row["job"], row["tasks"], row["models"], row["total_loss"]) == ("sd", "sd", 1, 3.0)


def test_without_a_meter_joules_are_modelled_and_measured_ones_empty(ready) -> None:
    """Half a core of two busy: 2 W + 8 W · ½ · ½ = 4 W."""
    bench = make_bench(MeasuringSession)
    row = bench.measure(ready, WindowTask(EAGER, "single-stream", 1, 1), zero_s=0.0)
    assert (row["energy_j"], row["energy_meter"]) == (None, None)
    assert row["energy_reason"] == "no sensor"
    assert row["energy_model_j"] == pytest.approx(4.0 * row["time_s"])


def test_for_another_device_time_and_joules_come_from_its_throughput(ready) -> None:
    """Each part takes 1 ms an image there: two encoders and three decoders are 5 ms at 10 W."""
    parts = dict.fromkeys(("encoder", *"sdn"), 1e-3)
    host = HostTiming(parts, dict.fromkeys(parts, 0.5), 1e9, 1e9)
    device = DeviceModel(TimeModel(1e9, 1e9), host)
    bench = make_bench(MeasuringSession, device, matches=False)
    row = bench.measure(ready, WindowTask(EAGER, "single-stream", 1, 1), zero_s=0.0)
    assert row["time_model_per_image_s"] == pytest.approx(5e-3)
    assert row["energy_model_per_image_j"] == pytest.approx(50e-3)


@pytest.mark.parametrize(
    ("variant", "threads", "matches", "known"),
    [
        (ORT, 1, True, True), (INT8, 2, True, True), (CUDA, 1, True, False),
        (ORT, 1, False, True), (ORT, 2, False, False), (INT8, 1, False, False),
        (CUDA, 1, False, False),
    ],
)  # fmt: skip
def test_nothing_is_modelled_that_the_profile_does_not_cover(
    variant, threads, matches, known
) -> None:
    """Graphics processors, and on another host int8 and other numbers of threads."""
    bench = make_bench(matches=matches)
    task = WindowTask(variant, "single-stream", threads, 1)
    assert bench._models_know(task) is known


def test_losses_of_clients_models_are_averaged(deployed) -> None:
    """Two models serve s: their mean counts, as in training."""
    cell = deployed("s", "sd")
    verdicts = {
        ("s", EAGER.name): Verdict({"s": 1.0}, {}, {}, {}),
        ("sd", EAGER.name): Verdict({"s": 3.0, "d": 5.0}, {}, {}, {}),
    }
    assert Ready(cell, {}, {}, {}, verdicts).total_loss(EAGER, None) == 7.0
    assert Ready(cell, {}, {}, {}, {}).total_loss(EAGER, None) is None


@pytest.mark.whole
def test_memory_is_looked_at_once_per_thing(ready) -> None:
    asked: list[MemoryProbe] = []
    bench = make_bench()
    bench.peak = asked.append
    for threads in (1, 2):
        row = bench.measure(ready, WindowTask(EAGER, "offline", threads, 2), zero_s=0.0)
        assert row["peak_memory_bytes"] is None
    (probe,) = asked
    assert probe.networks == (("sd", "sd"), ("n", "n"))


def test_the_measurements_of_a_cell(deployed) -> None:
    """Answers: 2 variants × 2 threads × (1 stream + 2 batches); models: 2 variants × 2 models."""
    several = tasks_of(deployed("sd", "n"), [EAGER, INT8], (1, 4), (1, 8))
    alone = [task for task in several if task.model is not None]
    assert (len(several), len(alone)) == (16, 4)
    assert {(t.scenario, t.threads) for t in alone} == {("single-stream", 4)}
    assert len(tasks_of(deployed("sdn"), [EAGER, INT8], (1, 4), (1, 8))) == 12
    names = [tuple(subject(deployed("sd", "n"), t).items()) for t in several]
    assert len(set(names)) == len(several)
