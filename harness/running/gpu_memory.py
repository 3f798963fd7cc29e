"""Read what PyTorch's allocator takes of a GPU's memory, and what it could still take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from devices.accelerator import CPU, Accelerator
from harness.core.errors import MemoryExceededError
from harness.measurement.memory import out_of_memory


class GpuAllocator(Protocol):
    """Be `torch.cuda`, as far as memory goes."""

    def empty_cache(self) -> None:
        """Hand back to the driver what no tensor holds."""
        ...

    def reset_peak_memory_stats(self) -> None:
        """Let the peak begin anew."""
        ...

    def max_memory_reserved(self) -> int:
        """Return the most bytes held of the driver since the peak began."""
        ...

    def mem_get_info(self) -> tuple[int, int]:
        """Return free and total bytes, as the driver says."""
        ...


def gpu_allocator(accelerator: Accelerator) -> GpuAllocator | None:
    """Return the allocator of the GPU that trains in this process; None if none does."""
    if accelerator.kind_here == CPU:
        return None
    import torch  # noqa: PLC0415 - only where a GPU trains

    cuda: Any = torch.cuda
    return cuda  # type: ignore[no-any-return]


class PeakGpuMemory:
    """Watch the most GPU memory that this process held, tensors and the allocator's spare blocks.

    What the driver keeps for the process itself, some hundred megabytes, is not in it.
    """

    def __init__(self, allocator: GpuAllocator | None) -> None:
        """Watch an allocator; without one there is no figure."""
        self._allocator = allocator

    def reset(self) -> None:
        """Begin anew from what tensors hold now."""
        if self._allocator is not None:
            self._allocator.empty_cache()
            self._allocator.reset_peak_memory_stats()

    def read_bytes(self) -> int | None:
        """Return the peak since `reset`; None if no GPU trains here."""
        return None if self._allocator is None else int(self._allocator.max_memory_reserved())


def free_gpu_bytes(allocator: GpuAllocator) -> int:
    """Return what the driver has free, once it has back what no tensor holds."""
    allocator.empty_cache()
    return int(allocator.mem_get_info()[0])


@contextmanager
def stops_when_full(
    accelerator: Accelerator, options: Mapping[str, Any], where: str
) -> Iterator[None]:
    """Turn lack of a GPU's memory into the error that stops a run; without a GPU do nothing.

    Raises:
        MemoryExceededError: if the body finds no memory on the GPU that trains here.
    """
    allocator = gpu_allocator(accelerator)
    try:
        yield
    except RuntimeError as error:
        if allocator is None or not out_of_memory(error):
            raise
        raise gpu_memory_full(accelerator, allocator, options, where) from error


def gpu_memory_full(
    accelerator: Accelerator, allocator: GpuAllocator, options: Mapping[str, Any], where: str
) -> MemoryExceededError:
    """Return the error for a run whose GPU has no memory left, with what to type then.

    A smaller batch from here on would make this method another one than those before it, so the
    run stops; `options` are those that it trains with.
    """
    held = int(allocator.max_memory_reserved())
    free, total = (int(count) for count in allocator.mem_get_info())
    batch = options.get("batch_size")
    smaller = f"--batch-size {max(int(batch) // 2, 2)}" if batch else "a smaller batch"
    images = f", with batches of {batch}" if batch else ""
    return MemoryExceededError(
        f"{where}{images}: the memory of {accelerator.name or 'the GPU'} is full. Training held"
        f" {held / 1e6:.0f} MB of {total / 1e6:.0f}, and {free / 1e6:.0f} are free",
        "If another program took it, end that and type the same command: it goes on after the last"
        f" round that is kept. Else repeat all methods with {smaller}, as batches that differ"
        " within a run would make its methods unlike.",
    )
