"""Hold a file or folder for one process: the kernel's lock, which ends with the process however.

What a lock means (a run is going on, a data set is being made) is said by whoever takes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A lock that somebody made a link is not followed, and one made a pipe is not waited for."""


def open_lock(path: Path) -> int:
    """Open a lock file, made if it is missing, or an existing folder; return the descriptor.

    Raises:
        OSError: if it cannot be opened, or is a link.
    """
    if path.is_dir() and not path.is_symlink():
        return os.open(path, os.O_RDONLY | SAFE)
    return os.open(path, os.O_RDWR | os.O_CREAT | SAFE, 0o644)


def try_lock(handle: int) -> bool:
    """Take the lock if nobody holds it; say whether it was taken. Closing the descriptor ends it.

    Raises:
        OSError: if the file system knows no locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def waiting_lock(handle: int, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock, and close it at the end; `waiting` is called if somebody else has it first."""
    try:
        if not try_lock(handle):
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Say whether a process holds the lock; no if there is no such file."""
    try:
        handle = os.open(path, os.O_RDONLY | SAFE)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
