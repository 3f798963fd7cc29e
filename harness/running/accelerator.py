"""Settle what trains, the processor or an NVIDIA GPU, and keep the clock honest about the latter.

A GPU works on while the program goes on, so a moment is only read after it has finished what it was
given. Its sums are not repeated to the last bit as the processor's are; TF32 is off, so that fp32
is what the profiles mean by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from devices.accelerator import CPU, GPU, Accelerator
from devices.cuda_probe import CudaProbe, cuda_here
from devices.profile import Profile
from harness.core.errors import AcceleratorError, UsageError

if TYPE_CHECKING:
    import torch

__all__ = [
    "CPU", "GPU", "Accelerator", "Choice", "choose_accelerator", "describe_accelerator", "prepare",
    "settled_clock", "torch_device",
]  # fmt: skip

CUDA = "cuda"
"""What PyTorch calls an NVIDIA GPU."""


@dataclass(frozen=True)
class Choice:
    """Hold what trains on this host, and whose figures the device's models take.

    They differ where the device is not this host: a laptop's processor trains while the GPU of a
    Jetson is modelled.

    Attributes:
        accelerator: What trains here.
        modelled: `cpu` or `gpu`: which of the profile's sets of figures the models take.
    """

    accelerator: Accelerator
    modelled: str = CPU


def choose_accelerator(
    asked: str,
    profile: Profile,
    *,
    fits: bool,
    gpu_trains: bool = True,
    probe: Callable[[], CudaProbe] = cuda_here,
) -> Choice:
    """Return what trains here and what is modelled.

    `auto` takes the GPU where the device has one and CUDA computes; on a host that is not the
    device its processor trains, and the device's GPU is modelled. CUDA is tried, in a process of
    its own, only where this host's GPU is in question.

    Args:
        asked: `auto`, `cpu` or `gpu`.
        profile: The device.
        fits: Whether this host is that device.
        gpu_trains: Whether the workload can train on a GPU.
        probe: Tries CUDA under the Python that trains.

    Raises:
        UsageError: `gpu` is asked for where the device has none, or the workload has no use for it.
        AcceleratorError: `gpu` is asked for and does not compute here.
    """
    barred = _barred(profile, gpu_trains=gpu_trains)
    if asked == GPU and barred:
        raise UsageError(f"--accelerator gpu: {barred}", "Leave out --accelerator gpu.")
    if asked == CPU:
        return Choice(Accelerator(why="asked for"))
    if barred:
        return Choice(Accelerator(why=barred))
    if not fits:
        why = f"this host is no {profile.name}, whose GPU is modelled"
        return Choice(Accelerator(why=why), GPU)
    found = probe()
    if found.gpu is not None:
        why = "asked for" if asked == GPU else "the device has one, and CUDA computes on it"
        return Choice(replace(found.gpu, why=why), GPU)
    if asked == GPU:
        raise AcceleratorError(f"--accelerator gpu: {found.fault}", found.fix)
    return Choice(Accelerator(why=f"the GPU cannot train: {found.fault}"))


def _barred(profile: Profile, *, gpu_trains: bool) -> str:
    """Return why no GPU is in question; empty if one is."""
    if profile.gpu is None:
        return f"{profile.name} has no GPU that trains: only those of NVIDIA do"
    return "" if gpu_trains else "this workload trains on the processor alone"


def torch_device(kind: str) -> torch.device:
    """Return where tensors are put; the processor unless `gpu` was settled on.

    A GPU is the first that CUDA may see, as the probe tried that one.
    """
    import torch  # noqa: PLC0415

    return torch.device(CUDA if kind == GPU else CPU)


def settled_clock(kind: str, clock: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    """Return a clock that is read when the accelerator has finished what it was given."""
    if kind != GPU:
        return clock

    def read() -> float:
        import torch  # noqa: PLC0415

        torch.cuda.synchronize()
        return clock()

    return read


def prepare(kind: str) -> None:
    """Have the GPU compute in fp32, by the same algorithms every time."""
    if kind != GPU:
        return
    import torch  # noqa: PLC0415

    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def describe_accelerator(accelerator: Accelerator) -> dict[str, Any]:
    """Return what the manifest says of it; `gpu` is the card's name, empty for a processor."""
    if not accelerator.is_gpu:
        return {"name": CPU, "why": accelerator.why}
    told = asdict(accelerator)
    gpu, _kind = told.pop("name"), told.pop("kind")
    return {"name": GPU, "gpu": gpu, **told}
