"""Read the samples that devices send at the end of a cell."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Mapping

from devices.plain_numbers import plain_float
from harness.core.schema import TRACE
from harness.fleet.strict import MOST_NUMBER, clean_text

MOST_TRACE_BYTES = 64 << 20
"""A day of ten samples a second of six rails."""
MOST_RAIL = 80


def trace_rows(traces: Mapping[str, tuple[float, bytes]]) -> list[dict[str, object]]:
    """Return the devices' samples in the run's own time; each rail has the device before it.

    Samples that are not as a worker writes them are left out.
    """
    found: list[dict[str, object]] = []
    for device, (shift_s, content) in traces.items():
        with contextlib.suppress(csv.Error):
            for row in csv.DictReader(_lines(content), strict=True):
                found += _row(row, device, shift_s)
    return sorted(found, key=lambda row: (float(str(row["t_s"])), str(row["rail"])))


def _row(row: Mapping[str, str], device: str, shift_s: float) -> list[dict[str, object]]:
    """Return a sample in the run's own time; none if a number in it is none."""
    names = [c.name for c in TRACE if c.type == "float" and row.get(c.name)]
    try:
        numbers = {name: plain_float(row[name]) for name in names}
        t_s = numbers.pop("t_s") + shift_s
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return []
    if not all(abs(number) <= MOST_NUMBER for number in (t_s, *numbers.values())):
        return []
    return [{"t_s": t_s, "rail": f"{device}/{clean_text(row.get('rail'), MOST_RAIL)}", **numbers}]


def _lines(content: bytes) -> list[str]:
    """Return the lines of a file of numbers; none is long, and all together are bounded."""
    text = content[:MOST_TRACE_BYTES].decode("utf-8", "replace")
    return [line for line in io.StringIO(text) if len(line) <= csv.field_size_limit()]
