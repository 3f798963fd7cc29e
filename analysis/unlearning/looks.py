"""One look per method of this workload in its figures; colour is never alone."""

from __future__ import annotations

from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from analysis.core.method_styles import Line, method_style

LOOKS: dict[str, tuple[str, Line, str]] = {
    "retrain": ("#000000", "-", "o"),
    "finetune": ("#E69F00", "--", "s"),
    "sisa": ("#0072B2", "-.", "^"),
    "receraser": ("#CC79A7", ":", "D"),
    "ultrare": ("#009E73", (0, (5, 1, 1, 1)), "v"),
    "scif": ("#D55E00", (0, (3, 1)), "X"),
    "influence": ("#56B4E9", (0, (1, 1)), "P"),
}
"""Colour, line and marker; Okabe and Ito's palette (2008)."""


def look(method: str) -> tuple[str | tuple[float, float, float], Line, str]:
    """Return colour, line and marker of a method, by its name without parameters."""
    found = LOOKS.get(method.partition(":")[0])
    if found is not None:
        return found
    usual = method_style(method)
    return usual.colour, usual.line, usual.marker


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers at 1, 2 and 5 of each decade."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
