"""A GPU is taken where it belongs, refused with a reason elsewhere, and never split from its data.

No GPU is at hand: its tensors are played by torch's "meta" ones, which have shapes but no values,
and raise as a GPU's do where they meet the processor's.
"""

from dataclasses import replace

import pytest
import torch

from devices.accelerator import Accelerator
from devices.cuda_probe import CudaProbe
from devices.host import detect
from devices.meters.base import Availability
from devices.meters.registry import METERS
from devices.meters.simulated import SimulatedMeter
from devices.profile import find_profile
from harness.core.errors import AcceleratorError, UsageError
from harness.running import target
from harness.running.accelerator import (
    choose_accelerator,
    describe_accelerator,
    settled_clock,
)
from harness.workloads.multitask.config import MultitaskConfig, make_multitask_config
from harness.workloads.multitask.planning.plan import random_batch
from harness.workloads.multitask.planning.training_setup import TrainingSetup
from harness.workloads.multitask.settings import federation
from models.execution import PLAIN
from models.multitask.losses import named
from models.multitask.network import build
from models.multitask.optimizer import descent
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from models.multitask.tasks import TASKS

PC, BOARD, PI = map(find_profile, ("x86-nvidia", "jetson-orin-nano", "raspberry-pi-5"))
CARD = Accelerator(kind="gpu", name="NVIDIA GeForce RTX 3060", index=0, uuid="GPU-1", cuda="12.6")
WORKS = CudaProbe(gpu=CARD)
BROKEN = CudaProbe("the NVIDIA driver is too old for CUDA 12.6", "Update the driver.")


def never() -> CudaProbe:
    """Fail where CUDA must not be tried."""
    raise AssertionError("CUDA was tried")


@pytest.fixture
def cuda(monkeypatch):
    """Let CUDA work, as far as the question goes."""
    monkeypatch.setattr(target, "cuda_here", lambda: WORKS)


@pytest.mark.parametrize("profile", [PC, BOARD])
@pytest.mark.parametrize("asked", ["auto", "gpu"])
def test_gpu_is_taken_where_the_device_has_one(profile, asked):
    """A PC's and a board's alike; the record names the card and why it was taken."""
    found = choose_accelerator(asked, profile, fits=True, probe=lambda: WORKS)
    assert (found.accelerator.kind, found.accelerator.uuid, found.modelled) == (
        "gpu", "GPU-1", "gpu",
    )  # fmt: skip
    assert found.accelerator.why


def test_processor_is_taken_when_asked_for_and_where_there_is_no_gpu():
    """CUDA is not even tried, so that torch is not loaded a second time."""
    for asked, profile, fits in (("cpu", PC, True), ("auto", PI, True), ("cpu", BOARD, False)):
        found = choose_accelerator(asked, profile, fits=fits, probe=never)
        assert (found.accelerator.kind, found.modelled) == ("cpu", "cpu")
    found = choose_accelerator("auto", BOARD, fits=True, gpu_trains=False, probe=never)
    assert (found.accelerator.kind, found.modelled) == ("cpu", "cpu")
    assert "workload" in found.accelerator.why


@pytest.mark.parametrize("asked", ["auto", "gpu"])
def test_gpu_of_another_device_is_modelled(asked):
    """This host's processor trains, whatever GPU this host has."""
    found = choose_accelerator(asked, BOARD, fits=False, probe=never)
    assert (found.accelerator.kind, found.modelled) == ("cpu", "gpu")
    assert "modelled" in found.accelerator.why


@pytest.mark.parametrize(
    ("profile", "trains", "words"),
    [(PI, True, "raspberry-pi-5 has no GPU"), (PC, False, "processor alone")],
)
def test_gpu_that_is_not_there_cannot_be_asked_for(profile, trains, words):
    with pytest.raises(UsageError, match=words):
        choose_accelerator("gpu", profile, fits=True, gpu_trains=trains, probe=never)


def test_gpu_that_does_not_compute():
    """`auto` is the processor with the fault as the reason; asked for it is an error, status 3."""
    found = choose_accelerator("auto", PC, fits=True, probe=lambda: BROKEN)
    assert (found.accelerator.kind, found.modelled) == ("cpu", "cpu")
    assert "too old" in found.accelerator.why
    with pytest.raises(AcceleratorError, match="too old") as refused:
        choose_accelerator("gpu", PC, fits=True, probe=lambda: BROKEN)
    assert (refused.value.exit_status, refused.value.remedy) == (3, "Update the driver.")


@pytest.fixture
def gpu_host(tmp_path, monkeypatch, cuda):
    """A PC with an NVIDIA GPU whose meter works."""
    driver = tmp_path / "proc/driver/nvidia/version"
    driver.parent.mkdir(parents=True)
    driver.write_text("NVRM version: x\n")

    class Gpu(SimulatedMeter):
        name = "nvml"

    monkeypatch.setitem(METERS, "nvml", Gpu)
    monkeypatch.setattr(target, "detect", lambda root: detect(root, "x86_64", 4))
    return tmp_path


def test_gpu_that_trains_is_what_is_measured(gpu_host):
    """Its own meter comes before the processor's; if that fails the next one is asked."""
    found = target.resolve_target(MultitaskConfig(), gpu_host)
    assert (found.profile.name, found.accelerator.kind, found.meter) == (
        "x86-nvidia",
        "gpu",
        "nvml",
    )
    on_processor = target.resolve_target(MultitaskConfig(accelerator="cpu"), gpu_host)
    assert (on_processor.accelerator.kind, on_processor.meter) == ("cpu", None)


class Processor(SimulatedMeter):
    """Count joules of a processor."""

    name = "rapl"

    def describe(self):
        return replace(super().describe(), meter="rapl", scope="package", kind="counter")


def test_processor_and_gpu_are_read_as_one(gpu_host, monkeypatch):
    """What a run on a GPU takes is what both take, where both count."""

    class Gpu(SimulatedMeter):
        name = "nvml"
        option_names = (*SimulatedMeter.option_names, "gpu")

        def describe(self):
            return replace(super().describe(), meter="nvml", scope="gpu", kind="counter")

    monkeypatch.setitem(METERS, "rapl", Processor)
    monkeypatch.setitem(METERS, "nvml", Gpu)
    found = target.resolve_target(MultitaskConfig(), gpu_host)
    named = f":gpu={found.accelerator.uuid}" if found.accelerator.uuid else ""
    assert (found.accelerator.kind, found.meter) == ("gpu", f"rapl+nvml{named}")
    on_processor = target.resolve_target(MultitaskConfig(accelerator="cpu"), gpu_host)
    assert on_processor.meter == "rapl"


def test_a_gpu_without_a_meter_leaves_no_figure_of_the_processor_alone(gpu_host, monkeypatch):
    class Silent(SimulatedMeter):
        name = "nvml"

        @classmethod
        def probe(cls, root=None, options=None):
            return Availability("nvml", False, "no-sensor", "no driver")

    monkeypatch.setitem(METERS, "rapl", Processor)
    monkeypatch.setitem(METERS, "nvml", Silent)
    found = target.resolve_target(MultitaskConfig(), gpu_host)
    assert (found.accelerator.kind, found.meter) == ("gpu", None)
    assert "rapl covers the processor alone" in found.meter_reason
    assert "no driver" in found.meter_reason
    asked = target.resolve_target(MultitaskConfig(meter="rapl"), gpu_host)
    assert asked.meter == "rapl"  # who names it gets it, and its scope says what it covers


def test_broken_gpu_meter_leaves_a_reason(gpu_host, monkeypatch):
    """Without NVML nothing else is called a measurement of the GPU in silence."""

    class Broken(SimulatedMeter):
        name = "nvml"

        @classmethod
        def probe(cls, root=None, options=None):
            return Availability("nvml", False, "no-sensor", "no driver")

    monkeypatch.setitem(METERS, "nvml", Broken)
    found = target.resolve_target(MultitaskConfig(), gpu_host)
    assert found.meter is None
    assert "nvml: no driver" in found.meter_reason


def test_steps_on_a_gpu_are_as_asked(gpu_host):
    found = target.resolve_target(MultitaskConfig(), gpu_host)
    fused, fp16 = (TrainingSetup(MultitaskConfig(step=s), found, None) for s in ("fused", "fp16"))
    assert fused.known_choice().execution.optimizer == "fused"
    assert fp16.known_choice().execution.precision == "fp16"


def test_clock_waits_for_the_gpu(monkeypatch):
    """A moment is read after the GPU is done; the processor's clock is left as it is."""
    told = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: told.append("done"))
    clock = settled_clock("gpu", lambda: told.append("read") or 7.0)
    assert clock() == 7.0
    assert told == ["done", "read"]
    plain = lambda: 1.0  # noqa: E731 - compared by identity
    assert settled_clock("cpu", plain) is plain


def test_unknown_accelerator_is_named():
    """A misspelt name gets the nearest one."""
    with pytest.raises(UsageError, match="cpu"):
        make_multitask_config({"accelerator": "gpuu"})


def test_cuda_is_another_word_for_a_gpu():
    assert make_multitask_config({"accelerator": "cuda"}).accelerator == "gpu"


@pytest.mark.parametrize(
    ("device", "accelerator", "settled_as"),
    [
        ("jetson-orin-nano", "auto", ("jetson-orin-nano:gpu", "cpu")),
        ("jetson-orin-nano", "gpu", ("jetson-orin-nano:gpu", "cpu")),
        ("jetson-orin-nano:gpu", "auto", ("jetson-orin-nano:gpu", "cpu")),
        ("jetson-orin-nano:cuda", "auto", ("jetson-orin-nano:gpu", "cpu")),
        ("jetson-orin-nano:cpu", "auto", ("jetson-orin-nano", "cpu")),
        ("jetson-orin-nano", "cpu", ("jetson-orin-nano", "cpu")),
        ("orin-nano:gpu", "cpu", ("orin-nano:gpu", "cpu")),  # a run that is gone on with
        ("raspberry-pi-5", "auto", ("raspberry-pi-5", "cpu")),
    ],
)
def test_two_sides_of_a_modelled_device_are_two_runs(device, accelerator, settled_as, gpu_host):
    """What is settled says which, is settled alike a second time, and has a digest of its own."""
    config = MultitaskConfig(device=device, accelerator=accelerator, meter="none")
    found = target.resolve_target(config, gpu_host)
    once = target.settled(config, found)
    assert (once.device, once.accelerator) == settled_as
    again = target.resolve_target(once, gpu_host)
    assert (target.settled(once, again), again.modelled) == (once, found.modelled)
    other = replace(config, device="jetson-orin-nano:cpu", accelerator="auto")
    same = target.settled(other, target.resolve_target(other, gpu_host)).digest() == once.digest()
    assert same is (settled_as[0] == "jetson-orin-nano")


@pytest.mark.parametrize(
    ("device", "accelerator", "words"),
    [
        ("jetson-nano:cpu", "gpu", "contradict"),
        ("x86-nvidia:gpu", "cpu", "contradict"),
        ("jetson-nano:tpu", "auto", "unknown accelerator 'tpu'"),
        ("raspberry-pi-5:gpu", "auto", "has no GPU"),
    ],
)
def test_sides_that_make_no_sense_are_refused(device, accelerator, words, gpu_host):
    config = MultitaskConfig(device=device, accelerator=accelerator, meter="none")
    with pytest.raises(UsageError, match=words):
        target.resolve_target(config, gpu_host)


def test_board_python_is_asked_about_its_own_cuda(gpu_host, monkeypatch):
    """Its GPU trains and is what is modelled; this process computes on the processor."""
    asked = []
    monkeypatch.setattr(target, "probe_cuda", lambda python: asked.append(python) or WORKS)
    monkeypatch.setattr(target, "cuda_here", never)
    config = MultitaskConfig(board_python="/usr/bin/python3", meter="none")
    found = target.resolve_target(config, gpu_host)
    once = target.settled(config, found)
    assert asked == ["/usr/bin/python3"]
    assert (found.accelerator.kind, found.accelerator.kind_here) == ("gpu", "cpu")
    assert (once.accelerator, federation(once).device) == ("gpu", torch.device("cpu"))


def test_manifest_names_the_card():
    """The name, which card of several, and why; of a processor only why."""
    told = describe_accelerator(replace(CARD, why="asked for"))
    assert (told["name"], told["gpu"], told["uuid"]) == ("gpu", CARD.name, "GPU-1")
    assert describe_accelerator(Accelerator(why="asked for")) == {"name": "cpu", "why": "asked for"}


def test_engine_gets_the_device_that_was_settled_on():
    """`auto` was settled before a run begins; left as it is it means the processor."""
    assert federation(MultitaskConfig(accelerator="gpu")).device == torch.device("cuda")
    assert federation(MultitaskConfig()).device == torch.device("cpu")


@pytest.mark.parametrize("model", ["small", "xception"])
def test_no_step_mixes_devices(model):
    """Forward, losses, backward and optimizer stay where the network is."""
    tasks = "".join(TASKS).replace("s", "")  # counting classes is not played by meta tensors
    net = build(architecture(model), tasks, 0, named("auto", masked=False)).train().to("meta")
    images, targets = random_batch(tasks, 2, 64)
    images, targets = images.to("meta"), {task: v.to("meta") for task, v in targets.items()}
    optimizer = descent(net, PLAIN, lr=0.1, momentum=0.9, weight_decay=1e-4)
    losses = accumulate_gradients(net, images, targets)
    optimizer.step()
    assert {loss.device.type for loss in losses.values()} == {"meta"}
    assert {p.grad.device.type for p in net.parameters() if p.grad is not None} == {"meta"}
    with pytest.raises((RuntimeError, NotImplementedError), match=r"device|meta"):
        accumulate_gradients(net, torch.rand(2, 3, 64, 64), targets)
