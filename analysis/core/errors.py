"""The one error a user of the analysis side can meet: what happened, and what to do about it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harness.core.errors import DamagedRunError

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_UNREADABLE = 7


CODES = {EXIT_USAGE: "usage", EXIT_UNREADABLE: "damaged"}


@contextlib.contextmanager
def damage_told() -> Iterator[None]:
    """Turn what a guarded folder refuses into the error of the analysis side.

    Raises:
        AnalysisError: in place of DamagedRunError.
    """
    try:
        yield
    except DamagedRunError as error:
        raise AnalysisError(f"{error.message}.", error.remedy) from None


class AnalysisError(Exception):
    """Say what is wrong with the given results and which step repairs it.

    Attributes:
        message: what happened, naming the file.
        remedy: the next thing to do or type.
        exit_code: 2 for a wrong command line, 7 for results this version cannot read.
        code: word for programs, one of those of docs/errors.md.
    """

    def __init__(self, message: str, remedy: str, exit_code: int = EXIT_UNREADABLE) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.exit_code = exit_code
        self.code = CODES[exit_code]

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]\n  what to do: {self.remedy}"
