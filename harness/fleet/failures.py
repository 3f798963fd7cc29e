"""Say what errors of devices are: a refused way of executing steps keeps its code and remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.core.errors import HarnessError, RefusedError, StepRefusedError
from harness.fleet.strict import clean_text


def told_failure(
    header: Mapping[str, Any], usual: Callable[[str, str], HarnessError]
) -> HarnessError:
    """Return what a device failed of: a refused way of executing steps, else the usual error."""
    kind = StepRefusedError if header.get("code") == StepRefusedError.code else usual
    return kind(clean_text(header.get("message")), clean_text(header.get("remedy")))


def request_failed(message: str, remedy: str) -> RefusedError:
    """Return the error of a request to train that failed on its device."""
    return RefusedError(f"it failed: {message}", remedy)


def all_refused(refused: Sequence[tuple[str, HarnessError]]) -> HarnessError:
    """Return the error of a round in which no answer could be used; `refused` are by device."""
    words = "; ".join(f"{device}: {error.message}" for device, error in refused)
    steps = [error for _, error in refused if isinstance(error, StepRefusedError)]
    text = f"no update could be used: {words}"
    return StepRefusedError(text, steps[0].remedy) if steps else RefusedError(text)
