"""Hold a lock file: one process at a time, freed by the kernel however its holder dies.

NFS turns `flock` into a lock of the server, which needs a file that is open for writing (flock(2),
"NFS details"): so it is always a file that is locked and never a folder. A server, or a kind of
file system, may have no locks at all; that is said, and nothing goes on unprotected.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.core.errors import StorageError
from harness.core.guarded_folder import SAFE

LOOKS = 20
LOOK_S = 0.005
"""How often, and how far apart, a lock is tried before it counts as held: whoever asks `is_held`
takes it for a moment, having no other way to see it."""


@contextlib.contextmanager
def held(path: Path, waiting: Callable[[], object] | None = None) -> Iterator[int]:
    """Hold the lock of this file, made if need be, and remove the file at the end.

    Args:
        path: the lock file; its folder must be there.
        waiting: called once if another process holds it, which is then waited for; without it
            nothing is waited for.

    Raises:
        BlockingIOError: if another process holds it and nothing is to be waited for.
        OSError: if the file cannot be made.
        StorageError: if the file system has no locks.
    """
    handle = _locked(path, waiting)
    try:
        yield handle
    finally:
        if is_at(handle, path):
            path.unlink(missing_ok=True)
        os.close(handle)


def is_held(path: Path) -> bool:
    """Say whether a process holds the lock; False where there is none, or no locks at all."""
    try:
        handle = os.open(path, os.O_RDONLY | SAFE)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def is_at(handle: int, path: Path) -> bool:
    """Say whether an open file is still the one of this name."""
    try:
        there, own = path.lstat(), os.fstat(handle)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)


def _locked(path: Path, waiting: Callable[[], object] | None) -> int:
    """Return the open, locked file; one that its last holder removed meanwhile is made anew."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | SAFE, 0o644)
        try:
            _lock(handle, path, waiting)
        except BaseException:
            os.close(handle)
            raise
        if is_at(handle, path):
            return handle
        os.close(handle)


def _lock(handle: int, path: Path, waiting: Callable[[], object] | None) -> None:
    try:
        for _ in range(LOOKS):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(LOOK_S)
        if waiting is None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
    except BlockingIOError:
        raise
    except OSError as error:
        raise StorageError(
            f"{path} cannot be locked: {error.strerror}; this file system has no locks, and two"
            " processes at once would spoil what is there",
            "Choose a folder on a disk of this machine with --out DIR and --cache DIR, or have the"
            " share mounted with locks (NFS: a running lock daemon, or the option local_lock=all).",
        ) from None
