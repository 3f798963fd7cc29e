"""Print figures as the tables of these benchmarks do."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def head(*names: str) -> list[str]:
    """Return the two first lines of a table."""
    return [row(*names), "|" + "---|" * len(names)]


def row(*cells: str) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(cells)} |"


def spread(values: Sequence[float], form: str = ".3f") -> tuple[str, str, str]:
    """Return minimum, median and maximum as text; dashes for no value at all."""
    if not values:
        return "–", "–", "–"
    low, middle, high = min(values), statistics.median(values), max(values)
    return format(low, form), format(middle, form), format(high, form)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values does not exceed."""
    ordered = sorted(values)
    index = max(0, -(-int(share * 1e9) * len(ordered) // 10**9) - 1)
    return ordered[min(index, len(ordered) - 1)]
