"""Lay words out for people at 80 columns, and read the few numbers that are typed with a unit."""

from __future__ import annotations

import math

from devices.plain_numbers import plain_float
from harness.core.errors import UsageError
from harness.core.wrapping import filled

WIDTH = 80


def hanging(label: str, text: str, indent: int) -> str:
    """Return a paragraph whose first line begins with a label and whose others are indented."""
    return filled(text, WIDTH, f"{label:<{indent}}", " " * indent)


def share_words(part: int, whole: int) -> str:
    """Return of how many cells a sum is, where it is not of all."""
    return "" if part == whole else f" in {part} of {whole} cells"


def parse_percent(option: str, text: str) -> float:
    """Return a share: 0.05 for `5%`.

    Raises:
        UsageError: if it is no number of at least 0 with a percent sign.
    """
    number, sign, rest = text.partition("%")
    try:
        value = plain_float(number)
    except ValueError:
        value = math.nan
    if not sign or rest or not 0.0 <= value < math.inf:
        raise UsageError(f"{option}: cannot read '{text}'", "Write it with its unit, as in 5%.")
    return value / 100.0
