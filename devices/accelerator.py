"""Name what trains: the cores of the processor, or one GPU, and which of several it is."""

from __future__ import annotations

from dataclasses import dataclass

CPU, GPU, AUTO = "cpu", "gpu", "auto"

ALIASES = {"cuda": GPU}
"""What people type for a kind besides its name."""


@dataclass(frozen=True)
class Accelerator:
    """Hold what trains on this host, and why that.

    Attributes:
        kind: `cpu` or `gpu`.
        why: Why it was taken, as the rest of a sentence; for the first screen and the manifest.
        name: Name of the card; empty for a processor.
        index: Number that CUDA gives it among those it may see; None for a processor.
        uuid: Identifier as NVML writes it, `GPU-…` or `MIG-…`; empty if CUDA does not tell.
        memory_bytes: Memory that it can use, in bytes; None if unknown, and for a processor.
        shared_memory: Whether that is the processor's memory, as on a Jetson.
        capability: Compute capability, such as 8.7.
        cuda: Release of CUDA that PyTorch was built for.
        torch: Release of PyTorch that computed on it.
        python: Program under which it trains; empty where that is this process.
    """

    kind: str = CPU
    why: str = ""
    name: str = ""
    index: int | None = None
    uuid: str = ""
    memory_bytes: int | None = None
    shared_memory: bool = False
    capability: str = ""
    cuda: str = ""
    torch: str = ""
    python: str = ""

    @property
    def is_gpu(self) -> bool:
        """Say whether a GPU trains."""
        return self.kind == GPU

    @property
    def kind_here(self) -> str:
        """Return on what this process computes: the processor where another program trains."""
        return CPU if self.python else self.kind


def split_device(text: str) -> tuple[str, str]:
    """Split `jetson-orin-nano:gpu` into the device and which of its accelerators is meant.

    The second is empty if the text names none; what follows the colon is not checked.
    """
    name, _, kind = text.partition(":")
    return name, ALIASES.get(kind, kind)
