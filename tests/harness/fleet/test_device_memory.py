"""A device of a fleet tells its GPU's peak of memory, what it settled by it, and that it is lost.

No GPU is at hand: a recorded allocator stands for it.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from devices.accelerator import Accelerator
from harness.core.errors import MemoryExceededError
from harness.fleet import device as module
from harness.fleet.device import Device, NodeIdentity
from harness.fleet.outbox import Outbox
from harness.fleet.wire import Frame
from harness.measurement.measuring import measuring
from harness.measurement.phases import PhaseLog
from harness.running.target import resolve_target
from harness.workloads.on_devices import OwnWay
from tests.harness.run_folder.conftest import Runner
from tests.harness.running.test_gpu_memory import Allocator

MB = 1_000_000


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_the_peak_is_that_of_the_client_trained_last(kind, tmp_path, monkeypatch) -> None:
    """Warming up took 900 MB, freed since; the client holds 300 MB."""
    config = Runner(tmp_path).config(tmp_path)
    target = replace(resolve_target(config), accelerator=Accelerator(kind=kind))
    config = replace(config, accelerator=kind)
    allocator = Allocator(8000 * MB, 8000 * MB)
    monkeypatch.setattr(module, "gpu_allocator", lambda it: allocator if it.is_gpu else None)
    monkeypatch.setattr(module, "prepare_torch", lambda *_: None)
    monkeypatch.setattr(module, "confine", lambda _: None)

    def warm_up() -> None:
        allocator.take(900 * MB)
        allocator.free(900 * MB)

    prepared = SimpleNamespace(clients=1, device_model=lambda: None, warm_up=warm_up)
    workload = SimpleNamespace(participant=lambda *_: prepared)
    with measuring(None, "", 10.0, PhaseLog()) as session:
        node = Device(NodeIdentity("pi", (0,)), target, session, Outbox(0.0))
        hello = Frame({"kind": "hello"})
        assert node.answer(hello).header["peak_gpu_memory_bytes"] is None  # nothing trained yet
        node._opened(workload, config)
        told = node.answer(hello).header["peak_gpu_memory_bytes"]
        assert told == (900 * MB if kind == "gpu" else None)
        node._gpu_memory.reset()
        allocator.take(300 * MB)
        told = node.answer(hello).header["peak_gpu_memory_bytes"]
        assert told == (300 * MB if kind == "gpu" else None)
        node._sharing.close()


class Fitting:
    """Be data and model of a device, and note for which clients and batch memory was tried."""

    checksum, clients = "c", 2
    launches = {"graph": 9, "no graph could be recorded: x": 3}  # noqa: RUF012
    launch_faults = ("no graph could be recorded: x",)

    def __init__(self, error=None):
        self.error = error
        self.asked = []

    def fit(self, clients, batch_size=None):
        self.asked.append((tuple(clients), batch_size))
        if self.error is not None:
            raise self.error
        return OwnWay({"data": {"way": "kept"}}, ["kept on the GPU"])

    def samples(self, client):
        return 8 + client

    def device_model(self):
        return None

    def warm_up(self):
        self.asked.append("warm-up")


@pytest.fixture
def device(tmp_path, monkeypatch):
    """Make a device that prepares what it is given, with a processor of its own."""
    config = Runner(tmp_path).config(tmp_path)
    target = resolve_target(config)
    monkeypatch.setattr(module, "prepare_torch", lambda *_: None)
    monkeypatch.setattr(module, "confine", lambda _: None)

    def make(prepared):
        kind = type(config)
        workload = SimpleNamespace(participant=lambda *_: prepared, config_class=lambda: kind)
        monkeypatch.setattr(module, "find_workload", lambda _: workload)
        return Device(NodeIdentity("pi", (0, 1)), target, session, Outbox(0.0)), target

    told = {k: v for k, v in config.as_dict().items() if k not in ("out", "cache", "threads")}
    with measuring(None, "", 10.0, PhaseLog()) as session:
        yield make, {"kind": "prepare", "config": {**told, "idle_s": 0.0}}


def test_what_its_memory_decides_is_told_once_and_the_batch_of_a_profile_is_tried(device):
    make, asked = device
    prepared = Fitting()
    node, target = make(prepared)
    for _ in range(2):
        told = node.answer(Frame(asked))
        assert told.header["own_way"] == {"data": {"way": "kept"}}
        assert told.header["own_words"] == ["kept on the GPU"]
        assert (told.header["launches"], told.header["launch_faults"]) == (
            Fitting.launches, list(Fitting.launch_faults)
        )  # fmt: skip
    assert prepared.asked == [((0, 1), None), "warm-up"]
    node.answer(Frame({**asked, "profile_batch": True}))
    assert prepared.asked[2:] == [((0, 1), target.profile.training.batch), "warm-up"]
    node._sharing.close()


@pytest.mark.parametrize(
    ("error", "code", "spoiled"),
    [
        (MemoryExceededError("batches of 16 do not fit", "Give 8."), "memory", False),
        (RuntimeError("CUDA out of memory. Tried to allocate 9 GiB"), "memory", False),
        (RuntimeError("CUDA error: unspecified launch failure"), "gpu-lost", True),
    ],
)
def test_a_gpu_that_cannot_is_told_in_words_and_a_lost_one_ends_the_worker(
    device, error, code, spoiled
):
    make, asked = device
    node, _ = make(Fitting(error))
    told = node.answer(Frame(asked))
    assert (told.kind, told.header["code"], node.spoiled) == ("failed", code, spoiled)
    assert told.header["remedy"]
    assert told.header["session"] == node.session
