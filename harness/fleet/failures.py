"""Say what errors of devices are: those that people can mend by code keep it, and their remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.core.errors import (
    GpuLostError,
    HarnessError,
    MemoryExceededError,
    RefusedError,
    StepRefusedError,
)
from harness.fleet.strict import clean_text

KEPT: Mapping[str, Callable[[str, str], HarnessError]] = {
    kind.code: kind for kind in (StepRefusedError, MemoryExceededError, GpuLostError)
}


def told_failure(
    header: Mapping[str, Any], usual: Callable[[str, str], HarnessError]
) -> HarnessError:
    """Return what a device failed of: an error of `KEPT`, else the usual one."""
    kind = KEPT.get(str(header.get("code")), usual)
    return kind(clean_text(header.get("message")), clean_text(header.get("remedy")))


def request_failed(message: str, remedy: str) -> RefusedError:
    """Return the error of a request to train that failed on its device."""
    return RefusedError(f"it failed: {message}", remedy)


def all_refused(refused: Sequence[tuple[str, HarnessError]]) -> HarnessError:
    """Return the error of a round in which no answer could be used; `refused` are by device."""
    words = "; ".join(f"{device}: {error.message}" for device, error in refused)
    text = f"no update could be used: {words}"
    told = next((error for _, error in refused if error.code in KEPT), None)
    return RefusedError(text) if told is None else KEPT[told.code](text, told.remedy)
