"""Make the process ready to train."""

from __future__ import annotations

import torch

from harness.running.accelerator import CPU, prepare
from harness.running.allocator import keep_freed_memory


def prepare_torch(threads: int, accelerator: str = CPU) -> None:
    """Fix the number of threads, on which sums and so the last bits of results depend.

    The C library is told to keep memory, which changes time alone.
    """
    prepare(accelerator)
    keep_freed_memory()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
