"""Say what is wrong with a data set and what the user can do about it."""

from __future__ import annotations


class DataError(Exception):
    """Report data that is missing, damaged or asked for in an impossible way.

    Attributes:
        message: What is wrong, naming the file or the value.
        remedy: What to do about it, one sentence.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str]]:
        return type(self), (self.message, self.remedy)


class DataUsageError(DataError):
    """Report a request that makes no sense whatever is on the disk."""
