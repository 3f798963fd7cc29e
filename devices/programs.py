"""Run the system's own programs, found under an injected root, and never leave one behind.

Every program leads a process group of its own, and the whole group is killed when its time is over
or its reader has had enough, so that nothing a wrapper script started stays.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

FOLDERS = ("bin", "usr/bin", "usr/sbin", "sbin", "usr/local/bin", "opt/vc/bin")
"""Where programs lie under the root; PATH is not used, so that a fake root is the whole truth."""

NOT_STARTED = 126
"""The shell's exit status for a file that cannot be executed."""

KILL_AFTER_S = 1.0
PIECE_BYTES = 65_536
LONGEST_ANSWER = 1_000_000
"""Bytes; `nvpmodel` and `vcgencmd` print a few thousand."""


@dataclass(frozen=True)
class Answer:
    """Hold what a program said.

    Attributes:
        status: Exit status; None if it was stopped, `NOT_STARTED` if it could not be started.
        text: Standard output, also what was printed before it was stopped.
        errors: Standard error; the system's message if it could not be started.
    """

    status: int | None
    text: str
    errors: str = ""


Run = Callable[[Sequence[str], float], Answer]
"""Runs a program for at most some seconds."""

Launch = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]
"""Starts a program that goes on printing."""


def launch_program(
    words: Sequence[str], errors: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, its standard output in a pipe.

    Args:
        words: The program's path and its arguments.
        errors: Where its standard error goes, as `subprocess.Popen` takes it.

    Raises:
        OSError: It cannot be started.
    """
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "LC_ALL": "C"},
        start_new_session=True,
    )


def run_program(words: Sequence[str], timeout_s: float) -> Answer:
    """Run a program to its end, or kill its group after `timeout_s`; failures are answers."""
    try:
        process = launch_program(words, subprocess.PIPE)
    except OSError as error:
        return Answer(NOT_STARTED, "", f"{words[0]}: {error.strerror}")
    with process:
        said = _Said(process)
        ended = said.listen(timeout_s)
        # What it started may have outlived it with its outputs closed.
        _signal_group(process, signal.SIGKILL)
        if not ended:  # what it said before it was killed; a stranger may hold the pipe for ever
            said.listen(KILL_AFTER_S)
            process.wait()
        return Answer(process.returncode if ended else None, *said.texts())


class _Said:
    """Listen to both outputs of a program, up to `LONGEST_ANSWER` bytes.

    Without that bound a program that prints without pause fills the memory within its time.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
        self._open = list(self._pipes)
        self._texts = [bytearray() for _ in self._pipes]

    def listen(self, timeout_s: float) -> bool:
        """Return True if both outputs and the program ended within the time and the bound."""
        deadline_s = time.monotonic() + timeout_s
        while self._open:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0.0 or sum(map(len, self._texts)) > LONGEST_ANSWER:
                return False
            for pipe in select.select(self._open, [], [], left_s)[0]:
                self._take(pipe)
        try:
            self._process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _take(self, pipe: IO[bytes]) -> None:
        piece = os.read(pipe.fileno(), PIECE_BYTES)
        self._texts[self._pipes.index(pipe)] += piece
        if not piece:
            self._open.remove(pipe)

    def texts(self) -> tuple[str, str]:
        """Return what both outputs said."""
        said, errors = (bytes(text).decode("utf-8", "replace") for text in self._texts)
        return said, errors


def stop_program(process: subprocess.Popen[bytes]) -> None:
    """End a launched program with everything it started, gently first."""
    _signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(KILL_AFTER_S)
    # The leader may be gone while a child of it still holds the pipe.
    _signal_group(process, signal.SIGKILL)
    process.kill()
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the group a program leads; harmless if it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def find_program(root: Path, name: str) -> Path | None:
    """Return the program's path under `root`; None if it is not there or not executable."""
    for folder in FOLDERS:
        path = root / folder / name
        if path.is_file() and os.access(path, os.X_OK):
            return path
    return None


@dataclass
class Programs:
    """Ask programs of one root and keep every answer.

    Attributes:
        root: Root of the file system.
        run: How a program is run.
        timeout_s: Time a program has to answer.
        answers: What was asked and answered, by name and arguments.
    """

    root: Path = Path("/")
    run: Run = run_program
    timeout_s: float = 2.0
    answers: dict[tuple[str, ...], Answer] = field(default_factory=dict)

    def ask(self, name: str, *arguments: str) -> str:
        """Return what a program prints; empty if there is no such program."""
        words = (name, *arguments)
        if words not in self.answers:
            path = find_program(self.root, name)
            if path is None:
                return ""
            self.answers[words] = self.run([str(path), *arguments], self.timeout_s)
        return self.answers[words].text
