"""Run a command, pass on what people and programs send it, and say what it took."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.measurement.process_tree import (
    MemoryWatch,
    ProgramMemory,
    children_of_this,
    left_cpu_s,
)

NOT_FOUND = 127
NOT_EXECUTABLE = 126
KILLED = 128

PASSED_ON = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
FROM_TERMINAL = 128
"""`si_code` of a signal that the kernel sent: a key of the terminal, which reaches all in front."""

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


@dataclass(frozen=True)
class CommandResult:
    """Hold what a command took.

    Attributes:
        start_s: moment before it was started, on the monotonic clock.
        end_s: moment at which it had ended.
        exit_status: its own status; 128 + n if signal n killed it; 127 or 126 if it could not be
            started.
        cpu_s: processor seconds of it and of all it started.
        memory: peak memory.
        reason: why it did not end by itself, or could not be started; empty otherwise.
        interrupted: the signal that ended the measurement while it ran; None for none.
        left: how many processes it left running; their processor seconds so far are counted.
    """

    start_s: float
    end_s: float
    exit_status: int
    cpu_s: float | None
    memory: ProgramMemory
    reason: str = ""
    interrupted: int | None = None
    left: int = 0

    @property
    def started(self) -> bool:
        """Say whether there was anything to measure."""
        return self.cpu_s is not None


@dataclass(frozen=True)
class Surroundings:
    """Hold what a command is started with.

    Attributes:
        environment: its environment.
        inherits: descriptors it inherits besides standard input, output and error.
        output: descriptor that its standard output goes to; None passes this process's on.
        not_its: children of this process that are none of the command's, such as meters.
        while_waiting: called about ten times a second while it runs.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    inherits: Sequence[int] = ()
    output: int | None = None
    not_its: Collection[int] = ()
    while_waiting: Callable[[], None] | None = None


def run_command(argv: Sequence[str], around: Surroundings) -> CommandResult:
    """Run a command to its end and return what it took.

    It shares this process's terminal and group, so keys reach it as always; signals that are sent
    to this process are passed on to it. What its children leave behind is collected here.
    """
    _collect_orphans()
    earlier = {*around.not_its, *_still_running(around.not_its)}
    around = replace(around, not_its=earlier)
    with _held_signals() as before:
        start_s = time.monotonic()
        try:
            process = _spawn(argv, around, before)
        except OSError as error:
            return _not_started(argv, error, start_s)
        # a new program inherits the peak of the one that starts it, as it stood at that moment
        floor_bytes = _largest_bytes(resource.getrusage(resource.RUSAGE_SELF)) + _slack_bytes()
        return _Wait(process, start_s, floor_bytes, around).result()


def _still_running(not_its: Collection[int]) -> list[int]:
    """Return what earlier commands left running; what has ended meanwhile is collected."""
    others = [number for number in children_of_this() if number not in not_its]
    return [number for number in others if os.waitpid(number, os.WNOHANG)[0] == 0]


def _spawn(argv: Sequence[str], around: Surroundings, mask: Collection[int]) -> int:
    actions = [] if around.output is None else [(os.POSIX_SPAWN_DUP2, around.output, 1)]
    kept = [n for n in around.inherits if not os.get_inheritable(n)]
    for number in kept:
        os.set_inheritable(number, True)
    try:
        return os.posix_spawnp(
            argv[0], list(argv), dict(around.environment), file_actions=actions, setsigmask=mask,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )  # fmt: skip
    finally:
        for number in kept:
            os.set_inheritable(number, False)


def _not_started(argv: Sequence[str], error: OSError, start_s: float) -> CommandResult:
    found = not isinstance(error, FileNotFoundError)
    status = NOT_EXECUTABLE if found else NOT_FOUND
    what = f"cannot be started: {os.strerror(error.errno or 0)}" if found else "was not found"
    reason = f"{argv[0]} {what}"
    memory = ProgramMemory(None, "", reason)
    return CommandResult(start_s, start_s, status, None, memory, reason)


class _Wait:
    """Wait for one command: for its end, for signals to pass on, for the next look at memory."""

    def __init__(
        self, process: int, start_s: float, floor_bytes: int, around: Surroundings
    ) -> None:
        self._process = process
        self._start_s = start_s
        self._floor_bytes = floor_bytes
        self._around = around
        self._watch = MemoryWatch(process)
        self._interrupted: int | None = None

    def result(self) -> CommandResult:
        status, used = self._ended()
        end_s = time.monotonic()
        cpu_s = used.ru_utime + used.ru_stime
        largest = _largest_bytes(used)
        left = 0
        for orphan in self._orphans():
            gone, _, other = os.wait4(orphan, os.WNOHANG)
            if gone:
                cpu_s += other.ru_utime + other.ru_stime
                largest = max(largest, _largest_bytes(other))
            else:
                left += 1
                cpu_s += left_cpu_s(orphan)
        code = os.waitstatus_to_exitcode(status)
        reason = f"killed by {_signal_name(-code)}" if code < 0 else ""
        memory = self._watch.peak(largest, self._floor_bytes)
        shown = KILLED - code if code < 0 else code
        return CommandResult(
            self._start_s, end_s, shown, cpu_s, memory, reason, self._interrupted, left
        )

    def _ended(self) -> tuple[int, resource.struct_rusage]:
        awaited = {*PASSED_ON, signal.SIGCHLD}
        while True:
            gone, status, used = os.wait4(self._process, os.WNOHANG)
            if gone:
                return status, used
            pause_s = max(self._watch.next_s - time.monotonic(), 0.0)
            if self._around.while_waiting is not None:
                pause_s = min(pause_s, 0.1)
            came = signal.sigtimedwait(awaited, pause_s)
            if came is not None and came.si_signo != signal.SIGCHLD:
                self._pass_on(came)
            self._watch.look()
            if self._around.while_waiting is not None:
                self._around.while_waiting()

    def _pass_on(self, came: signal.struct_siginfo) -> None:
        if came.si_signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            self._interrupted = came.si_signo
        if came.si_code != FROM_TERMINAL:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process, came.si_signo)

    def _orphans(self) -> list[int]:
        mine = {self._process, *self._around.not_its}
        return [number for number in children_of_this() if number not in mine]


@contextlib.contextmanager
def _held_signals() -> Iterator[Collection[int]]:
    """Hold signals back, so that each is either waited for or still comes afterwards.

    Yields those that were held back before, which the command is to start with.
    """
    held = {*PASSED_ON, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield before
    finally:
        while signal.sigtimedwait({signal.SIGCHLD}, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _collect_orphans() -> None:
    """Become the parent of what children of this process leave behind, where Linux allows it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _slack_bytes(cores: int | None = None) -> int:
    """Return by how much the kernel's peaks may lie beside each other.

    Since Linux 6.2 each of three sums of pages is off by up to a batch of max(32, 2·cores) for
    every core (`lib/percpu_counter.c`).
    """
    count = cores or os.cpu_count() or 1
    return 3 * count * max(32, 2 * count) * os.sysconf("SC_PAGE_SIZE")


def _largest_bytes(used: resource.struct_rusage) -> int:
    return used.ru_maxrss * 1024  # Linux counts in units of 1024 bytes


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return f"{signal.Signals(number).name} ({number})"
    return f"signal {number}"
