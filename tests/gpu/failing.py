"""Say that what must hold on a GPU does not."""


class CheckFailedError(Exception):
    """Report that what must hold on a GPU does not."""
