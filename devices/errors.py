"""Define the one error this package raises for a device, profile or meter it cannot use."""

from __future__ import annotations


class DeviceError(Exception):
    """Say what is wrong with a device, profile or meter, and what the user can type about it.

    Attributes:
        message: What happened, in one sentence.
        remedy: What to do; empty if nothing can be done.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        if not self.remedy:
            return self.message
        return f"{self.message} ({self.remedy})"
