"""Keep two runs from writing, or measuring, in one place at once; `harness.core.locks` says how."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.core import locks
from harness.core.errors import BusyError, StorageError
from harness.core.guarded_folder import SAFE
from harness.run_folder.results import storage_errors

NAME = "lock"
CHOOSING = ".lock"
"""The lock of a folder of results, held while a run is chosen or made."""


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock of a run folder as long as the context is open.

    Gives a function that raises StorageError once the folder is no longer where it was.

    Raises:
        BusyError: if another process holds it.
        StorageError: if it cannot be made, or nothing can be locked there.
    """
    path = folder / NAME
    with contextlib.ExitStack() as stack:
        with storage_errors(path):
            try:
                handle = stack.enter_context(locks.held(path))
            except BlockingIOError:
                raise busy(folder) from None
            os.truncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)

        def still_there() -> None:
            if not locks.is_at(handle, path):
                raise StorageError(
                    f"{folder} was removed, renamed or replaced while the run went on",
                    "Leave the folder of a run alone until it is done; start again.",
                )

        yield still_there


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Wait for, and hold, the right to choose or make a run folder in a folder of results."""
    with contextlib.ExitStack() as stack:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.held(folder / CHOOSING, lambda: None))
        yield


def is_running(folder: Path) -> bool:
    """Say whether a process holds the lock of a run folder."""
    return locks.is_held(folder / NAME)


def busy(folder: Path) -> BusyError:
    """Return the error that names the run that is going on."""
    text = ""
    with contextlib.suppress(OSError):
        handle = os.open(folder / NAME, os.O_RDONLY | SAFE)
        try:
            text = os.read(handle, 21).decode(errors="replace").strip()
        finally:
            os.close(handle)
    process = f" (process {text})" if text.isdigit() else ""
    return BusyError(
        f"a run is going on in {folder}{process}; two at once would spoil each other's times and"
        " joules",
        "Wait until it is done. If it runs on another machine that shares this folder, choose"
        " another folder with --out DIR.",
    )
