"""One process at a time holds a lock; it is freed however its holder dies, and made anew."""

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core import locks
from harness.core.errors import StorageError

HOLD = """
import sys, time
from pathlib import Path
from harness.core import locks
with locks.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Give a process that holds the lock, and end it."""
    words = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "held\n"
        yield started
        started.kill()


def test_another_process_is_refused_and_a_killed_one_frees_it(tmp_path) -> None:
    path = tmp_path / "lock"
    with holder(path):
        assert locks.is_held(path)
        with pytest.raises(BlockingIOError), locks.held(path):
            pass
        assert path.exists()
    assert not locks.is_held(path)
    with locks.held(path):
        assert locks.is_held(path)
    assert not path.exists()


def test_whoever_may_wait_is_told_and_gets_it(tmp_path) -> None:
    path = tmp_path / "lock"
    told = []
    with holder(path) as started:

        def waiting() -> None:
            told.append(True)
            started.kill()
            started.wait()

        with locks.held(path, waiting):
            assert told == [True]


def test_whoever_looks_in_that_moment_holds_nobody_up(tmp_path) -> None:
    """`is_held` takes the lock, shared, as long as it looks: here for 30 ms."""
    path = tmp_path / "lock"
    path.touch()
    handle = os.open(path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    looked = threading.Timer(0.03, os.close, (handle,))
    looked.start()
    told = []
    with locks.held(path):
        pass
    looked.join()
    with locks.held(path, lambda: told.append(True)):
        assert told == []


def test_a_file_that_was_removed_meanwhile_is_not_taken_for_the_lock(tmp_path) -> None:
    """The last holder removes it; who opened it before locks a file that nobody else sees."""
    path = tmp_path / "lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        assert locks.is_at(handle, path)
        path.unlink()
        assert not locks.is_at(handle, path)
        path.touch()
        assert not locks.is_at(handle, path)
    finally:
        os.close(handle)


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch) -> None:
    def refuse(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("harness.core.locks.fcntl.flock", refuse)
    with pytest.raises(StorageError, match="cannot be locked"), locks.held(tmp_path / "lock"):
        pass
    assert not locks.is_held(tmp_path / "lock")


def test_no_lock_is_held_by_nobody(tmp_path) -> None:
    assert not locks.is_held(tmp_path / "none")
