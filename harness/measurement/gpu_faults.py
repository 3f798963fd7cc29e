"""Tell what a GPU that fails in the middle of a run means, in words with a remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from harness.core.errors import GpuLostError

SIGNS = re.compile(
    r"CUDA (error|driver error)|cuDNN error|CUDNN_STATUS|CUBLAS_STATUS|NVRM|device-side assert",
    re.IGNORECASE,
)
"""How torch tells errors of CUDA; after one only a new process can use the GPU."""

LONGEST_WORDS = 160

HOT = re.compile(
    r"fallen off the bus|unspecified launch failure|lost|is not accessible", re.IGNORECASE
)


def tells_of_gpu_fault(text: str) -> bool:
    """Say whether words are those of CUDA's own error; lack of memory is none.

    After one a process can use the GPU no more.
    """
    full = "out of memory" in text or "ALLOC_FAILED" in text
    return bool(SIGNS.search(text)) and not full


@contextmanager
def gpu_errors() -> Iterator[None]:
    """Turn a failure of the GPU into an error with a remedy; lack of memory passes through.

    Raises:
        GpuLostError: if CUDA fails in the body.
    """
    try:
        yield
    except RuntimeError as error:
        if not tells_of_gpu_fault(str(error)):
            raise
        raise gpu_lost(str(error)) from error


def gpu_lost(text: str) -> GpuLostError:
    """Return the error for what CUDA says when it fails, with a remedy."""
    first = next(line.strip() for line in text.splitlines() if line.strip())
    words = re.sub(r"[^ -~]", "?", first)[:LONGEST_WORDS]
    heat = (
        " Heat and a weak supply do that too: nvidia-smi -q -d TEMPERATURE,PERFORMANCE"
        " (a Jetson: python -m harness.doctor) shows it."
        if HOT.search(text)
        else ""
    )
    return GpuLostError(
        f"the GPU failed while it trained: {words}",
        "Look at dmesg for NVRM or nvgpu, then type the same command: it goes on after the"
        f" last round that is kept.{heat}",
    )
