"""Run the small programs that vendors ship for reading their sensors.

Every program gets a process group of its own, and the whole group is killed when its time is over,
so that nothing a wrapper script started stays behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

EXIT_TIMEOUT = 124
EXIT_NOT_STARTED = 126
KILL_AFTER_S = 1.0


@dataclass(frozen=True)
class ProgramOutput:
    """Hold what a program printed.

    Attributes:
        code: Exit status; 124 after the time limit, 126 if it could not be started.
        text: Standard output; the system's message if it could not be started.
        errors: Standard error.
    """

    code: int
    text: str
    errors: str = ""


Runner = Callable[[list[str], float], ProgramOutput]
"""Runs a command for at most some seconds."""

Launcher = Callable[[list[str]], "subprocess.Popen[bytes]"]
"""Starts a command that goes on printing."""


def launch_program(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, its standard output in a pipe.

    Raises:
        OSError: It cannot be started.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C"},
        start_new_session=True,
    )


def run_program(command: list[str], timeout_s: float) -> ProgramOutput:
    """Run a program to its end, or kill its group after `timeout_s`; failures are answers."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
    except OSError as error:
        return ProgramOutput(EXIT_NOT_STARTED, "", f"{command[0]}: {error.strerror}")
    with process:
        try:
            output, errors = process.communicate(timeout=timeout_s)
            code = process.returncode
        except subprocess.TimeoutExpired:
            signal_group(process, signal.SIGKILL)
            output, errors = process.communicate()
            code = EXIT_TIMEOUT
    return ProgramOutput(code, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a launched program with everything it started, gently first."""
    signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(KILL_AFTER_S)
    # The leader may be gone while a child of it still holds the pipe.
    signal_group(process, signal.SIGKILL)
    process.kill()
    process.wait()


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the group a program leads; harmless if it is gone."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
