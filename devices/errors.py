"""Define the one error this package raises for a device, profile or meter it cannot use."""

from __future__ import annotations

from collections.abc import Sequence


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


class SeveralFaultsError(DeviceError):
    """Say everything that is wrong with one file.

    Attributes:
        faults: One error for each fault.
    """

    def __init__(self, faults: Sequence[DeviceError]) -> None:
        remedies = dict.fromkeys(fault.remedy for fault in faults if fault.remedy)
        super().__init__("\n".join(fault.message for fault in faults), "\n".join(remedies))
        self.faults = tuple(faults)


def raise_faults(faults: Sequence[DeviceError]) -> None:
    """Raise nothing, the only fault, or all of them together, those of others taken apart."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise SeveralFaultsError([one for fault in faults for one in faults_of(fault)])


def faults_of(error: DeviceError) -> tuple[DeviceError, ...]:
    """Return the faults that an error holds: itself, if it is a single one."""
    return error.faults if isinstance(error, SeveralFaultsError) else (error,)
