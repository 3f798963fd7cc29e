"""Keep two runs from writing, or measuring, in one place at once.

The lock is the kernel's (`flock`), so it ends with the process however that dies; a lock file left
behind by a power cut holds nobody up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import BusyError
from harness.run_folder.results import storage_errors

NAME = "lock"

SAFE = os.O_NOFOLLOW | os.O_NONBLOCK
"""A lock that somebody made a link is not followed, and one made a pipe is not waited for."""


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder as long as the context is open.

    Raises:
        BusyError: if another process holds it.
    """
    path = folder / NAME
    with storage_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | SAFE, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(folder) from None
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
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_running(folder: Path) -> bool:
    """Say whether a process holds the lock of a run folder."""
    try:
        handle = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC | SAFE)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


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
