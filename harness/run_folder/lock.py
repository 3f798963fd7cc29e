"""Keep two runs from writing, or measuring, in one place at once.

The lock is the kernel's (`harness.core.locks`), so it ends with the process however that dies; a
lock file left behind by a power cut holds nobody up.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import BusyError
from harness.core.locks import is_locked, open_lock, try_lock, waiting_lock
from harness.run_folder.results import storage_errors

NAME = "lock"


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder as long as the context is open.

    Raises:
        BusyError: if another process holds it.
    """
    path = folder / NAME
    with storage_errors(path):
        handle = open_lock(path)
    try:
        if not try_lock(handle):
            raise busy(folder)
        if not path.exists() or path.stat().st_ino != os.fstat(handle).st_ino:
            raise busy(folder)  # another run has just ended and taken its lock file along
        with storage_errors(path):
            os.truncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(handle)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Wait for, and hold, the right to choose or make a run folder in a folder of results."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = open_lock(folder)
    with waiting_lock(handle):
        yield


def is_running(folder: Path) -> bool:
    """Say whether a process holds the lock of a run folder."""
    return is_locked(folder / NAME)


def busy(folder: Path) -> BusyError:
    """Return the error that names the run that is going on."""
    with contextlib.suppress(OSError):
        text = (folder / NAME).read_text(encoding="utf-8", errors="replace").strip()
        process = f" (process {text[:20]})" if text.isdigit() else ""
        return _busy(folder, process)
    return _busy(folder, "")


def _busy(folder: Path, process: str) -> BusyError:
    return BusyError(
        f"a run is going on in {folder}{process}; two at once would spoil each other's times and"
        " joules",
        "Wait until it is done, or choose another folder with --out DIR.",
    )
