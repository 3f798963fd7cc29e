"""Hold what the files of a run state beside what they come to, and put into words what differs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

Claim = tuple[str, float, float, str]
"""Column, value stated, value computed, and where the latter comes from."""

Contradiction = tuple[str, str, str]
"""Column, cell, and in words what does not follow."""

AGREE = 1e-6
"""Relative difference up to which two sums of the same numbers are the same."""


def contradiction(cell: str, claim: Claim) -> Iterator[Contradiction]:
    """Yield what does not agree."""
    column, stated, computed, source = claim
    if not _same(stated, computed):
        yield column, cell, _words(column, stated, computed, source)


def _words(column: str, stated: float, computed: float, source: str) -> str:
    unit = {"_s": " s", "_j": " J"}.get(column[-2:], " %" if column.startswith("delta") else "")
    return f"{column} is {stated:.6g}{unit} in cells.csv, {source} {computed:.6g}{unit}"


def total(values: Iterable[float]) -> float:
    """Return the sum; what no float can hold is not a number, so it agrees with nothing."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return math.nan


def _same(stated: float, computed: float) -> bool:
    return math.isclose(stated, computed, rel_tol=AGREE, abs_tol=AGREE)
