"""A device of a fleet tries the run's batch in its own memory, and says which would fit.

No GPU is at hand: what a GPU's trial finds is given, and its allocator is a recorded one.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.core.errors import GpuLostError, MemoryExceededError, StepRefusedError
from harness.running.target import resolve_target
from harness.workloads.multitask.planning import batch_fit, data_way, device_fit
from harness.workloads.multitask.planning.batch_fit import BatchFit
from harness.workloads.multitask.planning.device_fit import fit_device
from harness.workloads.multitask.training.feeding import KEPT
from models.execution import PLAIN, Execution
from models.multitask.registry import architecture
from tests.harness.run_folder.conftest import Runner
from tests.harness.running.test_gpu_memory import Allocator

MB = 1_000_000
GRAPH = Execution(optimizer="fused", launch="graph")
GPU = SimpleNamespace(kind="gpu", kind_here="gpu", is_gpu=True, shared_memory=False)


class Sized:
    """Serve four clients whose images take 25 MB each."""

    masked = False

    def split(self, _split, _client):
        return {"rgb": SimpleNamespace(nbytes=15 * MB), "d": SimpleNamespace(nbytes=10 * MB)}

    def count(self, _split):
        return 4


@pytest.fixture
def fit(tmp_path, monkeypatch):
    """Fit a device whose trials come to `found`, or raise it."""

    def attempt(found, execution=PLAIN, clients=(0, 1), free=8000 * MB):
        config = replace(Runner(tmp_path).config(tmp_path), tasks="d", batch_size=16)
        target = replace(resolve_target(config), accelerator=GPU)

        def trial(*_):
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(device_fit, "fit_batch", trial)
        monkeypatch.setattr(device_fit, "try_jobs", trial)
        monkeypatch.setattr(device_fit, "barred", lambda *_, **__: "")
        monkeypatch.setattr(device_fit, "pinning_fault", lambda: "")
        monkeypatch.setattr(data_way, "gpu_allocator", lambda _: Allocator(80_000 * MB, free))
        network = architecture("small")
        return fit_device(config, target, network, execution, Sized(), clients)

    return attempt


def test_a_batch_that_does_not_fit_is_refused_with_the_one_that_would(fit) -> None:
    with pytest.raises(MemoryExceededError) as told:
        fit(BatchFit(16, 4, 900.0 * MB, 300 * MB, 40.0 * MB, "shared"))
    assert told.value.message == (
        "batches of 16 images do not fit its memory, batches of 4 would: training would need 900 MB"
        " in what GPU and processor share, and 300 MB are free"
    )
    assert "--batch-size 4," in told.value.remedy
    with pytest.raises(MemoryExceededError, match="a step of 16 found no memory on the GPU"):
        fit(BatchFit(16, 8, None, None, None, "gpu", 16))


@pytest.mark.parametrize(("clients", "way"), [((0, 1), KEPT), ((0, 1, 2, 3), "prefetched")])
def test_data_of_its_own_clients_stay_where_they_fit(fit, clients, way) -> None:
    """0.5 · (0.9 · 600 - 400) = 70 MB: room for two clients of 25 MB, and not for four."""
    found = fit(BatchFit(16, 16, 400.0 * MB, 600 * MB, 1.0 * MB), clients=clients, free=600 * MB)
    assert found.as_dict()["data"]["way"] == way
    assert found.as_dict()["data"]["data_bytes"] == len(clients) * 25 * MB
    assert found.as_dict()["batch"]["taken"] == 16
    (words,) = found.words()
    assert ("kept on the GPU" in words) == (way == KEPT)


@pytest.mark.parametrize(
    ("raised", "execution", "kind", "words"),
    [
        ("CUDA out of memory. Tried to allocate", GRAPH, MemoryExceededError, "does not fit"),
        ("CUDA error: device lost", GRAPH, GpuLostError, "device lost"),
        ("no graph of the step can be made: x\ny", GRAPH, StepRefusedError, r"made: x\n"),
        ("shapes cannot be multiplied", PLAIN, RuntimeError, "shapes"),
    ],
)
def test_what_goes_wrong_in_the_trial_keeps_its_kind(fit, raised, execution, kind, words) -> None:
    with pytest.raises(kind, match=words):
        fit(RuntimeError(raised), execution)


class Growing:
    """Be memory of which steps of n images take 3 MB and 1 MB an image, whatever else there is."""

    name = "host"

    def __init__(self, free: int) -> None:
        self._free = free
        self._peak = 0

    def take(self, config, *_) -> None:
        self._peak = (3 + config.batch_size) * MB

    def free_bytes(self) -> int:
        return self._free

    def peak_bytes(self) -> int:
        return self._peak

    def reset(self) -> None:
        self._peak = 0


def test_a_board_with_too_little_memory_foretells_it_on_its_processor(
    tmp_path, monkeypatch
) -> None:
    """Of 64 images' 67 MB 0.9 of 30 MB hold 16 images' 19 MB; with all that is asked it fits."""
    config = replace(Runner(tmp_path).config(tmp_path), tasks="sd", batch_size=64)
    target, network = resolve_target(config), architecture("small")

    def fitting(free: int, **changes):
        memory = Growing(free)
        monkeypatch.setattr(batch_fit, "WatchedMemory", lambda *_: memory)
        monkeypatch.setattr(batch_fit, "_measured_steps", memory.take)
        return fit_device(replace(config, **changes), target, network, PLAIN, Sized(), (0,))

    with pytest.raises(MemoryExceededError, match="64 images do not fit its memory, batches of 16"):
        fitting(30 * MB)
    kept = fitting(30 * MB, keep_batch_size=True)
    assert kept.batch == BatchFit(64, 64, free_bytes=30 * MB)
    found = fitting(64_000 * MB)
    assert (found.batch.taken, found.data, found.words()) == (64, None, [])
