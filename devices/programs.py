"""Ask the system's own programs, found under an injected root, and remember what they said."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FOLDERS = ("bin", "usr/bin", "usr/sbin", "sbin", "usr/local/bin", "opt/vc/bin")
"""Where programs lie under the root; PATH is not used, so that a fake root is the whole truth."""


@dataclass(frozen=True)
class Answer:
    """Hold what a program said: exit status (None if it did not end in time) and its output."""

    status: int | None
    text: str


Run = Callable[[Sequence[str], float], Answer]


def run_program(words: Sequence[str], timeout_s: float) -> Answer:
    """Run a program; what it printed before it was stopped is kept.

    A program that cannot be started at all (another processor's, not executable) has status 126.
    """
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as late:
        return Answer(None, _text(late.stdout))
    except OSError as error:
        return Answer(126, str(error.strerror))
    return Answer(done.returncode, _text(done.stdout))


def _text(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", "replace")


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
