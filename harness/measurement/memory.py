"""Read this process's peak memory between two moments (Linux, `/proc/self`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.core.errors import MemoryExceededError

_SIGNS = (
    "can't allocate memory", "bad_alloc", "could not create a memory", "not enough memory",
    "out of memory", "_STATUS_ALLOC_FAILED", "NvMapMemAlloc",
)  # fmt: skip
"""How torch and its libraries say in a RuntimeError that an allocation failed, here or on a GPU."""


class PeakMemory:
    """Watch the peak resident memory of this process.

    The kernel keeps it as VmHWM and resets it to the present size when 5 is written to
    `clear_refs` (proc(5)). Where that is not allowed there is no figure.
    """

    def __init__(self, process: Path = Path("/proc/self")) -> None:
        self._process = process
        self._watching = False

    def reset(self) -> None:
        """Begin anew from the present size."""
        try:
            (self._process / "clear_refs").write_text("5")
            self._watching = True
        except OSError:
            self._watching = False

    def read_bytes(self) -> int | None:
        """Return the peak since `reset`; None if the kernel does not tell."""
        if not self._watching:
            return None
        try:
            status = (self._process / "status").read_text()
        except OSError:
            return None
        found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else None


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error is that of a failed allocation."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _SIGNS)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn a failed allocation into an error with a remedy.

    Raises:
        MemoryExceededError: if the body runs out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise MemoryExceededError(
            "training does not fit into the memory of this host, of its GPU, or of the device it"
            " stands for",
            "Lower --batch-size or --size.",
        ) from error
