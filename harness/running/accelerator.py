"""Settle what trains, the processor or an NVIDIA GPU, and keep the clock honest about the latter.

A GPU works on while the program goes on, so a moment is only read after it has finished what it was
given. Its sums are not repeated to the last bit as the processor's are; TF32 is off, so that fp32
is what the profiles mean by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from devices.profile import Profile
from harness.core.errors import DeviceMissingError, UsageError

if TYPE_CHECKING:
    import torch

CPU, CUDA = "cpu", "cuda"

FIX = (
    "Leave out --accelerator cuda, or install the driver and a PyTorch with CUDA:"
    " python3 -c 'import torch; print(torch.version.cuda, torch.cuda.is_available())'"
    " says what is there."
)


def choose_accelerator(asked: str, profile: Profile, *, fits: bool) -> str:
    """Return `cpu` or `cuda`.

    `auto` takes the GPU where the device is this host, its profile is of a computer with a GPU, and
    CUDA works; torch is imported only where a GPU is in question.

    Raises:
        UsageError: `cuda` is asked for a device that is not this host: its time is modelled for its
            processor.
        DeviceMissingError: `cuda` is asked for and does not work here.
    """
    if asked == CUDA:
        if not fits:
            raise UsageError(
                f"--accelerator cuda: this host is no {profile.name}, whose time and energy are"
                " modelled for its processor",
                "Leave out --accelerator, or name this host: --device auto.",
            )
        fault = cuda_fault()
        if fault:
            raise DeviceMissingError(f"--accelerator cuda: {fault}", FIX)
        return CUDA
    if asked == "auto" and fits and profile.match.gpu and not cuda_fault():
        return CUDA
    return CPU


def cuda_fault() -> str:
    """Return why CUDA cannot train here; empty if it computed something."""
    import torch  # noqa: PLC0415 - names and help need no torch

    if torch.version.cuda is None:
        return f"PyTorch {torch.__version__} is built for the processor alone"
    try:
        if not torch.cuda.is_available():
            return "CUDA finds no GPU that it can use"
        torch.ones(2, device=CUDA).sum().item()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return ""


def torch_device(accelerator: str) -> torch.device:
    """Return where tensors are put; the processor unless `cuda` was settled on."""
    import torch  # noqa: PLC0415

    return torch.device(CUDA if accelerator == CUDA else CPU)


def settled_clock(
    accelerator: str, clock: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """Return a clock that is read when the accelerator has finished what it was given."""
    if accelerator != CUDA:
        return clock

    def read() -> float:
        import torch  # noqa: PLC0415

        torch.cuda.synchronize()
        return clock()

    return read


def prepare(accelerator: str) -> None:
    """Have the GPU compute in fp32, by the same algorithms every time."""
    if accelerator != CUDA:
        return
    import torch  # noqa: PLC0415

    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def describe_accelerator(accelerator: str) -> dict[str, Any]:
    """Return what the manifest says of it."""
    if accelerator != CUDA:
        return {"name": CPU}
    import torch  # noqa: PLC0415

    properties = torch.cuda.get_device_properties(0)
    return {
        "name": CUDA,
        "gpu": properties.name,
        "memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }
