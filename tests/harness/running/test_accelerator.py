"""A GPU is taken where it belongs, refused with a reason elsewhere, and never split from its data.

No GPU is at hand: its tensors are played by torch's "meta" ones, which have shapes but no values,
and raise as a GPU's do where they meet the processor's.
"""

import pytest
import torch

from devices.host import detect
from devices.meters.base import Availability
from devices.meters.registry import METERS
from devices.meters.simulated import SimulatedMeter
from devices.profile import find_profile
from harness.core.errors import DeviceMissingError, UsageError
from harness.running import accelerator, target
from harness.running.accelerator import choose_accelerator, settled_clock
from harness.workloads.multitask.config import MultitaskConfig, make_multitask_config
from harness.workloads.multitask.planning.plan import random_batch
from harness.workloads.multitask.planning.step_choice import known_choice
from harness.workloads.multitask.settings import federation
from models.execution import PLAIN
from models.multitask.losses import named
from models.multitask.network import build
from models.multitask.optimizer import descent
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from models.multitask.tasks import TASKS

PC, BOARD = find_profile("x86-nvidia"), find_profile("jetson-orin-nano")


@pytest.fixture
def cuda(monkeypatch):
    """Let CUDA work, as far as the question goes."""
    monkeypatch.setattr(accelerator, "cuda_fault", lambda: "")


def test_gpu_is_taken_where_the_device_has_one(cuda):
    """`auto` is the GPU on a host that is a PC with one, the processor on all others."""
    assert choose_accelerator("auto", PC, fits=True) == "cuda"
    assert choose_accelerator("auto", PC, fits=False) == "cpu"
    assert choose_accelerator("auto", BOARD, fits=True) == "cpu"
    assert choose_accelerator("cpu", PC, fits=True) == "cpu"
    assert choose_accelerator("cuda", BOARD, fits=True) == "cuda"


def test_gpu_of_another_host_is_refused(cuda):
    """Another device's time is modelled for its processor, which a GPU's work would not be."""
    with pytest.raises(UsageError, match="modelled for its processor"):
        choose_accelerator("cuda", PC, fits=False)


def test_gpu_that_does_not_work(monkeypatch):
    """Asked for it is an error with the reason and a way to look; `auto` is the processor."""
    monkeypatch.setattr(accelerator, "cuda_fault", lambda: "CUDA finds no GPU")
    assert choose_accelerator("auto", PC, fits=True) == "cpu"
    with pytest.raises(DeviceMissingError, match="CUDA finds no GPU") as refused:
        choose_accelerator("cuda", PC, fits=True)
    assert "torch.cuda.is_available()" in refused.value.remedy


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_fault_is_told_on_a_host_without_gpu():
    """The real question gives a reason here."""
    assert accelerator.cuda_fault()


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
    assert (found.profile.name, found.accelerator, found.meter) == ("x86-nvidia", "cuda", "nvml")
    on_processor = target.resolve_target(MultitaskConfig(accelerator="cpu"), gpu_host)
    assert (on_processor.accelerator, on_processor.meter) == ("cpu", None)


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


def test_steps_on_a_gpu_are_plain_or_as_asked(gpu_host):
    """Nothing is calibrated there; bf16 is refused."""
    found = target.resolve_target(MultitaskConfig(), gpu_host)
    assert known_choice(MultitaskConfig(), found).execution == PLAIN
    assert known_choice(MultitaskConfig(step="fused"), found).execution.optimizer == "fused"
    with pytest.raises(UsageError, match="processor only"):
        known_choice(MultitaskConfig(step="bf16"), found)


def test_clock_waits_for_the_gpu(monkeypatch):
    """A moment is read after the GPU is done; the processor's clock is left as it is."""
    told = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: told.append("done"))
    clock = settled_clock("cuda", lambda: told.append("read") or 7.0)
    assert clock() == 7.0
    assert told == ["done", "read"]
    plain = lambda: 1.0  # noqa: E731 - compared by identity
    assert settled_clock("cpu", plain) is plain


def test_unknown_accelerator_is_named():
    """A misspelt name gets the nearest one."""
    with pytest.raises(UsageError, match="cuda"):
        make_multitask_config({"accelerator": "cuada"})


def test_engine_gets_the_device_that_was_settled_on():
    """`auto` was settled before a run begins; left as it is it means the processor."""
    assert federation(MultitaskConfig(accelerator="cuda")).device == torch.device("cuda")
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
