"""Have the C library keep the memory that one training step frees for the next one.

A step frees all its activations. glibc then hands the free top of its heap back to the kernel, and
gets large blocks from the kernel one by one, so that the next step pays for a page fault per 4 KiB
of the same memory: about a thousand a step and a tenth of its time for the default merged model
(`tests/benchmarks/allocator.py`). Results do not depend on it, time does, so the manifest says it.

Source: mallopt(3), malloc_trim(3).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in glibc's malloc.h."""

KEPT_BYTES = 2**31 - 1
LARGEST_BYTES = 32 * 2**20
"""Larger blocks come from the kernel one by one as ever: mallopt(3) takes no more on 64 bits."""

SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""Variables by which a user chooses otherwise, if they speak of malloc."""

KEEPS = f"glibc, keeps freed blocks of up to {LARGEST_BYTES >> 20} MiB"


def describe_allocator(
    library: ctypes.CDLL | None = None, environment: Mapping[str, str] = os.environ
) -> str:
    """Return in words what happens to freed memory once `keep_freed_memory` was called."""
    for name in SETTINGS:
        value = environment.get(name, "")
        if value and "malloc" in f"{name}={value}".lower():
            return f"as {name} says"
    return KEEPS if hasattr(library or _library(), "mallopt") else "the C library's own way"


def keep_freed_memory(
    library: ctypes.CDLL | None = None, environment: Mapping[str, str] = os.environ
) -> None:
    """Let this process keep what it frees.

    Nothing changes where the user chose otherwise, or where the C library is not glibc.
    """
    library = library or _library()
    if describe_allocator(library, environment) == KEEPS:
        library.mallopt(MMAP_THRESHOLD, LARGEST_BYTES)
        library.mallopt(TRIM_THRESHOLD, KEPT_BYTES)


def give_back(library: ctypes.CDLL | None = None) -> None:
    """Return what is kept to the kernel, so that a peak of memory is that of what follows."""
    library = library or _library()
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)
