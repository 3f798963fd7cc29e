"""Read what PyTorch's allocator takes of a GPU's memory, and what it could still take."""

from __future__ import annotations

from typing import Any, Protocol

from devices.accelerator import CPU, Accelerator


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
