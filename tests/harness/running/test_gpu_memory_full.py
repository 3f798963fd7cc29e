"""A GPU whose memory runs out in the middle of a run stops it, in words, and it can go on later."""

from types import SimpleNamespace

import pytest
import torch

from harness.core.errors import EXIT_USAGE, MemoryExceededError
from harness.running import cell as cell_module
from harness.running import gpu_memory
from harness.running.gpu_memory import gpu_memory_full, stops_when_full
from harness.workloads.multitask.training import copy
from tests.harness.run_folder.conftest import Runner, manifest, only, rows
from tests.harness.running.test_gpu_memory import Allocator

MB = 1_000_000


def test_words_name_card_bytes_and_the_batch_to_repeat_with():
    allocator = Allocator(8000 * MB, 7900 * MB)
    allocator.take(7000 * MB)
    error = gpu_memory_full(
        SimpleNamespace(name="NVIDIA Card"), allocator, {"batch_size": 16}, "mas-s0-r0"
    )
    assert error.message == (
        "mas-s0-r0, with batches of 16: the memory of NVIDIA Card is full. Training held 7000 MB of"
        " 8000, and 900 are free"
    )
    assert "--batch-size 8," in error.remedy
    assert "type the same command" in error.remedy
    assert (error.code, error.exit_status) == ("memory", EXIT_USAGE)
    least = gpu_memory_full(SimpleNamespace(name=""), allocator, {"batch_size": 2}, "x")
    assert "--batch-size 2," in least.remedy
    assert "a smaller batch" in gpu_memory_full(SimpleNamespace(name=""), allocator, {}, "x").remedy


def test_what_finds_no_memory_before_the_first_cell_says_the_same(monkeypatch):
    """Other errors, and those of a processor, pass as they are."""
    allocator = Allocator(8000 * MB, 8000 * MB)
    for kind, error, words in (
        ("gpu", torch.cuda.OutOfMemoryError("CUDA out of memory."), "warm-up, with batches of 8"),
        ("gpu", RuntimeError("CUDA error: an illegal memory access"), "illegal"),
        ("cpu", RuntimeError("DefaultCPUAllocator: can't allocate memory"), "DefaultCPUAllocator"),
    ):
        monkeypatch.setattr(
            gpu_memory, "gpu_allocator", lambda it: allocator if it.name == "gpu" else None
        )
        with (
            pytest.raises((MemoryExceededError, RuntimeError), match=words) as caught,
            stops_when_full(SimpleNamespace(name=kind), {"batch_size": 8}, "warm-up"),
        ):
            raise error
        assert isinstance(caught.value, MemoryExceededError) == (words.startswith("warm-up"))


@pytest.fixture
def full(monkeypatch):
    """Let a client of the run's second cell find no memory."""
    allocator = Allocator(8000 * MB, 8000 * MB)

    def begin(*, gpu):
        monkeypatch.setattr(cell_module, "gpu_allocator", lambda _: allocator if gpu else None)
        plain, seen = copy.train_client, []

        def short(net, *more):
            seen.append(net.tasks)
            if len(seen) == 4:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")
            return plain(net, *more)

        monkeypatch.setattr(copy, "train_client", short)
        return lambda: monkeypatch.setattr(copy, "train_client", plain)

    return begin


def test_the_run_stops_and_goes_on_with_the_same_command(tmp_path, tmp_path_factory, full):
    runner = Runner(tmp_path_factory.mktemp("cache"))
    runner.run(tmp_path / "plain", batch_size=2)
    freed = full(gpu=True)
    with pytest.raises(MemoryExceededError, match="is full") as caught:
        runner.run(tmp_path / "short", batch_size=2)
    assert "--batch-size 2," in caught.value.remedy
    folder = only(tmp_path / "short")
    told = manifest(folder)
    assert told["status"] == "failed"
    assert "the memory of the GPU is full" in told["reason"]
    assert [row["status"] for row in rows(folder, "cells")][-1] == "interrupted"

    freed()
    runner.run(tmp_path / "short", batch_size=2)
    plain, ours = (rows(only(tmp_path / name), "cells") for name in ("plain", "short"))
    assert only(tmp_path / "short") == folder
    assert [r["total_loss"] for r in ours] == [r["total_loss"] for r in plain]
    assert {r["status"] for r in ours} == {"done"}


def test_on_a_processor_the_cell_fails_and_the_others_go_on(tmp_path, tmp_path_factory, full):
    runner = Runner(tmp_path_factory.mktemp("cache"))
    full(gpu=False)
    runner.run(tmp_path, batch_size=2)
    states = [row["status"] for row in rows(only(tmp_path), "cells")]
    assert states.count("failed") == 1
    assert "done" in states
