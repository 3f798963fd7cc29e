"""Hold the errors that only judging and comparing runs can meet."""

from __future__ import annotations

from harness.errors import EXIT_UNREADABLE, HarnessError


class NotComparableError(HarnessError):
    """Report that two runs, or two figures of them, do not say anything about each other."""

    code = "not-comparable"
    exit_status = EXIT_UNREADABLE
