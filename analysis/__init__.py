"""Tables, figures and one page from the result files of any number of runs.

Importing this package costs nothing: pandas is imported by the first call of `load`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.loading import Run

__all__ = ["load"]


def load(folder: str | Path) -> Run:
    """Read one run folder, e.g. ``analysis.load("results/20261123-x86").cells``.

    Raises:
        AnalysisError: if the folder is no run or its files cannot be read (see `analysis.loading`).
    """
    from analysis.loading import load_run  # noqa: PLC0415 - keeps pandas out of the import

    return load_run(folder)
