"""A device of a fleet tells the peak of its GPU's memory, and none where its processor trains.

No GPU is at hand: a recorded allocator stands for it.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from devices.accelerator import Accelerator
from harness.fleet import device as module
from harness.fleet.device import Device, NodeIdentity
from harness.fleet.outbox import Outbox
from harness.fleet.wire import Frame
from harness.measurement.measuring import measuring
from harness.measurement.phases import PhaseLog
from harness.running.target import resolve_target
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
