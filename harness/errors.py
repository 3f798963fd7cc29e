"""Hold every fatal error: what happened, what to do about it, and the exit status the shell sees.

Exit statuses: 0 done, 1 internal error, 2 usage or configuration, 3 device or meter missing or not
permitted, 4 finished but unstable, 5 some cells failed, 6 worse than a threshold, 7 results that
cannot be read or compared, 8 a budget is reached and the run can go on later, 9 files cannot be
written or data cannot be read, 130 interrupted and the run can go on later.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_DEVICE = 3
EXIT_UNSTABLE = 4
EXIT_CELLS_FAILED = 5
EXIT_WORSE = 6
EXIT_UNREADABLE = 7
EXIT_BUDGET = 8
EXIT_FILES = 9
EXIT_INTERRUPTED = 130


class HarnessError(Exception):
    """Stop the program with a message, a remedy to type, and an exit status."""

    code = "internal"
    exit_status = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class UsageError(HarnessError):
    """Report an option, name or combination that makes no sense."""

    code = "usage"
    exit_status = EXIT_USAGE


class DeviceMissingError(HarnessError):
    """Report that the host is not the device asked for."""

    code = "device"
    exit_status = EXIT_DEVICE


class MeterMissingError(HarnessError):
    """Report that no meter can be used although one was required."""

    code = "meter"
    exit_status = EXIT_DEVICE


class StorageError(HarnessError):
    """Report that files cannot be written: no permission, no space, read-only."""

    code = "storage"
    exit_status = EXIT_FILES


class BusyError(HarnessError):
    """Report that another run is going on where this one would be."""

    code = "busy"
    exit_status = EXIT_FILES


class DamagedRunError(HarnessError):
    """Report that a run folder cannot be gone on with, as a file in it is not what was written."""

    code = "damaged"
    exit_status = EXIT_UNREADABLE


class SourceDataError(HarnessError):
    """Report that training data cannot be made or are damaged."""

    code = "data"
    exit_status = EXIT_FILES


class MemoryExceededError(HarnessError):
    """Report that training needs more memory than the device has."""

    code = "memory"
    exit_status = EXIT_USAGE


class DivergedError(HarnessError):
    """Report a loss that is no longer a finite number."""

    code = "diverged"
    exit_status = EXIT_CELLS_FAILED


class SeveralProblems(HarnessError):  # noqa: N818 - it holds errors, it is none of its own
    """Report all problems of a start at once; the status is the first one's."""

    code = "several"

    def __init__(self, problems: Sequence[HarnessError]) -> None:
        super().__init__("\n".join(f"{i}. {p}" for i, p in enumerate(problems, 1)))
        self.problems = tuple(problems)
        self.exit_status = problems[0].exit_status


def unknown(kind: str, word: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown name: the wrong word, the nearest right one, the list."""
    names = list(known)
    near = difflib.get_close_matches(word, names, 1, 0.5)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return UsageError(f"unknown {kind} '{word}'", f"{hint}Known: {', '.join(names)}")


def raise_all(problems: Sequence[HarnessError]) -> None:
    """Raise nothing, the only problem, or all of them together."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise SeveralProblems(problems)
