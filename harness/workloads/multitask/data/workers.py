"""Share shards out to worker processes that stop at once when the user does.

A pool of the standard library either hangs when a worker is killed for want of memory or cannot
be stopped while its workers compute; this one notices the first and does the second.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from harness.core.errors import DataError
from harness.workloads.multitask.data.shard import ShardJob, write_shard

_IMAGE = "image"
_FINISHED = "finished"
_GRACE_S = 1.0
_GONE = (EOFError, BrokenPipeError, ConnectionResetError)
"""What a connection raises, depending on the moment, once the other process has ended."""


def run_jobs(
    jobs: Sequence[ShardJob], folder: Path, step: Callable[[], None], workers: int
) -> None:
    """Make all shards with a number of processes; one means in this process.

    Args:
        jobs: Shards to make.
        folder: The unfinished store.
        step: Called in this process after every image.
        workers: Number of processes at most.

    Raises:
        DataError: If a worker fails; the others are stopped.
    """
    if workers == 1 or len(jobs) <= 1:
        for job in jobs:
            write_shard(job, folder, step)
        return
    crew = _Crew(folder)
    try:
        for _ in range(min(workers, len(jobs))):
            crew.hire()
        crew.work_off(list(jobs), step)
    finally:
        crew.dismiss()


class _Crew:
    """Keep the running workers, each behind its own pipe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # A fresh interpreter: a fork would copy locks of threads that torch may have started.
        self._context = multiprocessing.get_context("spawn")
        self._members: dict[Connection, BaseProcess] = {}

    def hire(self) -> None:
        """Start one more worker."""
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._folder), daemon=True)
        process.start()
        theirs.close()
        self._members[mine] = process

    def work_off(self, waiting: list[ShardJob], step: Callable[[], None]) -> None:
        """Hand out jobs until all are finished."""
        waiting.reverse()
        busy = 0
        for connection in self._members:
            connection.send(waiting.pop())
            busy += 1
        while busy:
            for ready in wait(list(self._members)):
                assert isinstance(ready, Connection)
                message = self._receive(ready)
                if message == _IMAGE:
                    step()
                elif waiting:
                    ready.send(waiting.pop())
                else:
                    busy -= 1

    def _receive(self, connection: Connection) -> str:
        try:
            message = connection.recv()
        except _GONE as error:
            process = self._members[connection]
            process.join(_GRACE_S)
            message = f"a worker process stopped with exit code {process.exitcode}."
            remedy = "If it was killed for want of memory, use fewer workers."
            raise DataError(message, remedy) from error
        if isinstance(message, DataError):
            raise message
        return str(message)

    def dismiss(self) -> None:
        """Stop all workers, by force if they do not follow."""
        for process in self._members.values():
            process.terminate()
        for connection, process in self._members.items():
            process.join(_GRACE_S)
            if process.is_alive():
                process.kill()
                process.join()
            connection.close()


def _serve(connection: Connection, folder: Path) -> None:
    """Make shards as they are handed in; runs in a worker until it is stopped."""
    # Ctrl-C reaches the whole process group; the parent alone decides what to do about it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            job = connection.recv()
        except _GONE:
            return
        try:
            write_shard(job, folder, lambda: _tell(connection, _IMAGE))
        except DataError as error:
            _tell(connection, error)
            return
        _tell(connection, _FINISHED)


def _tell(connection: Connection, message: str | DataError) -> None:
    """Send a message; leave at once and in silence if there is no parent any more."""
    try:
        connection.send(message)
    except _GONE:
        raise SystemExit(1) from None
