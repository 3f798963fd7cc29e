"""Freed memory is kept for the next step, unless the user or the C library has it otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.running.allocator import KEEPS, describe_allocator, give_back, keep_freed_memory

BLOCK_BYTES, BLOCKS, ROUNDS = 30 * 2**20, 4, 10

STEPS = f"""
import ctypes, resource, sys
from harness.running import allocator

def step():
    blocks = [ctypes.create_string_buffer({BLOCK_BYTES}) for _ in range({BLOCKS})]
    for block in blocks:
        ctypes.memset(block, 1, {BLOCK_BYTES})

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

if sys.argv[1] == "keep":
    allocator.keep_freed_memory()
step()
before = faults()
for _ in range({ROUNDS}):
    step()
print(faults() - before)
kept = resident()
allocator.give_back()
print(kept - resident())
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


def measured(word: str) -> tuple[int, int]:
    """Return page faults after the first step, and bytes given back at the end."""
    plain = {k: v for k, v in os.environ.items() if "MALLOC" not in f"{k}{v}".upper()}
    done = subprocess.run(
        [sys.executable, "-c", STEPS, word], env=plain, capture_output=True, text=True, check=True
    )
    faults, given_back = map(int, done.stdout.split())
    return faults, given_back


@glibc
def test_steps_after_the_first_find_their_memory_in_place() -> None:
    """Kept, ten steps fault on fewer pages than one step writes to; let go, on all of every one."""
    pages = BLOCK_BYTES * BLOCKS // 4096
    assert measured("keep")[0] < pages
    if os.sysconf("SC_PAGESIZE") == 4096 and not huge_pages():
        assert measured("let go")[0] > pages * ROUNDS * 0.9


def huge_pages() -> bool:
    """Say whether the kernel may give memory in larger pieces, so that faults are fewer."""
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.exists() and "[always]" in setting.read_text()


@glibc
def test_what_is_kept_can_be_given_back() -> None:
    """After steps that keep their memory, all of it goes back to the kernel when asked."""
    assert measured("keep")[1] > BLOCK_BYTES * BLOCKS * 0.9


class Library(SimpleNamespace):
    """Stand for a C library that records what it is told."""

    def __init__(self) -> None:
        super().__init__(told=[])

    def mallopt(self, what: int, value: int) -> int:
        """Record an option."""
        self.told.append((what, value))
        return 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "65536"),
        ("MALLOC_MMAP_THRESHOLD_", "65536"),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=128"),
        ("LD_PRELOAD", "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2"),
    ],
)
def test_what_the_user_chose_is_left_alone_and_said(name: str, value: str) -> None:
    """A variable that speaks of malloc wins over the harness, and the manifest names it."""
    library = Library()
    keep_freed_memory(library, {name: value})  # type: ignore[arg-type]
    assert library.told == []
    assert describe_allocator(library, {name: value}) == f"as {name} says"  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["/usr/lib/libgomp.so.1", ""])
def test_variables_that_do_not_speak_of_malloc_change_nothing(value: str) -> None:
    """Jetson users preload libgomp; that is no choice of an allocator."""
    library = Library()
    keep_freed_memory(library, {"LD_PRELOAD": value})  # type: ignore[arg-type]
    assert [what for what, _ in library.told] == [-3, -1]
    assert describe_allocator(library, {"LD_PRELOAD": value}) == KEEPS  # type: ignore[arg-type]


def test_another_c_library_is_left_alone() -> None:
    """Without mallopt and malloc_trim nothing is called and the words say so."""
    bare = SimpleNamespace()
    keep_freed_memory(bare, {})  # type: ignore[arg-type]
    give_back(bare)  # type: ignore[arg-type]
    assert describe_allocator(bare, {}) == "the C library's own way"  # type: ignore[arg-type]
