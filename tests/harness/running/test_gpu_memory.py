"""Peaks and free bytes of a GPU's memory, read from a recorded allocator; none of a processor's."""

import sys
from types import SimpleNamespace

import pytest

from harness.core.errors import MemoryExceededError
from harness.measurement.memory import memory_errors
from harness.running.gpu_memory import PeakGpuMemory, free_gpu_bytes, gpu_allocator


class Allocator:
    """Keep blocks as torch's allocator does: what is freed stays reserved until it is emptied."""

    def __init__(self, total: int, free: int) -> None:
        self.total, self.driver_free = total, free
        self.held = self.reserved = self.peak = 0
        self.calls: list[str] = []

    def take(self, count: int) -> None:
        if count > self.reserved - self.held:
            fresh = count - (self.reserved - self.held)
            if fresh > self.driver_free:
                raise RuntimeError(f"CUDA out of memory. Tried to allocate {fresh} bytes.")
            self.driver_free -= fresh
            self.reserved += fresh
        self.held += count
        self.peak = max(self.peak, self.reserved)

    def free(self, count: int) -> None:
        self.held -= count

    def empty_cache(self) -> None:
        self.calls.append("empty_cache")
        self.driver_free += self.reserved - self.held
        self.reserved = self.held

    def reset_peak_memory_stats(self) -> None:
        self.calls.append("reset")
        self.peak = self.reserved

    def max_memory_reserved(self) -> int:
        return self.peak

    def mem_get_info(self) -> tuple[int, int]:
        return self.driver_free, self.total


def test_a_peak_begins_from_what_tensors_hold() -> None:
    """A former cell's peak is not the next one's: 700 B, freed, then 100 + 50 B."""
    allocator = Allocator(1000, 900)
    peak = PeakGpuMemory(allocator)
    allocator.take(700)
    allocator.free(600)
    peak.reset()
    assert peak.read_bytes() == 100
    allocator.take(50)
    allocator.free(50)
    assert peak.read_bytes() == 150
    assert allocator.calls == ["empty_cache", "reset"]


def test_free_is_what_the_driver_has_with_spare_blocks_back() -> None:
    allocator = Allocator(1000, 900)
    allocator.take(700)
    allocator.free(600)
    assert free_gpu_bytes(allocator) == 800


def test_a_processor_has_no_figure_and_needs_no_torch(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for kind in ("cpu", "gpu"):
        here = SimpleNamespace(kind_here="cpu", kind=kind)
        assert gpu_allocator(here) is None
    peak = PeakGpuMemory(None)
    peak.reset()
    assert peak.read_bytes() is None


def test_the_allocator_of_a_gpu_is_that_of_torch() -> None:
    import torch  # noqa: PLC0415

    assert gpu_allocator(SimpleNamespace(kind_here="gpu")) is torch.cuda


@pytest.mark.parametrize(
    "words",
    ["CUDA out of memory. Tried to allocate 20.00 MiB", "CUDA error: out of memory",
     "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
     "cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "NvMapMemAllocInternalTagged: 1075072515 error 12"],
)  # fmt: skip
def test_a_gpu_without_memory_ends_in_words(words: str) -> None:
    import torch  # noqa: PLC0415

    for kind in (RuntimeError, torch.cuda.OutOfMemoryError):
        with pytest.raises(MemoryExceededError, match="of its GPU"), memory_errors():
            raise kind(words)


def test_other_errors_of_a_gpu_are_not_taken_for_it() -> None:
    with pytest.raises(RuntimeError, match="illegal"), memory_errors():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
