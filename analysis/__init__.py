"""Tables, figures and one page from the result files of any number of runs.

In a notebook one line reads a run::

    run = analysis.open("results/20261123-043333-x86-ae141704")

`run.cells`, `run.metrics` and `run.phases` are frames with the columns of docs/results.md;
`run.with_facts(run.metrics)` adds device, method, seed and repeat to each row; `run.trace(cell)`,
`run.conditions(cell)`, `run.affinity(cell)` and `run.affinity_rounds(cell)` read what belongs to
one cell. `pool` of `analysis.core.pooling` puts runs together that belong together, `all_tables`
and `all_drawings` of `analysis.core.assembly` give every table and figure as objects.
docs/analysis.md has an example.

Importing this package costs nothing: pandas is imported by the first call of `open`, or of `load`,
which takes folders alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core import own_packages  # noqa: F401 - ours win over folders of the same names

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.core.loading import Run

__all__ = ["load", "open"]


def load(folder: str | Path) -> Run:
    """Read one run folder, e.g. ``analysis.load("results/20261123-x86").cells``.

    Raises:
        DamagedRunError: if the folder is no run or its files cannot be read.
    """
    from analysis.core.loading import load_run  # noqa: PLC0415 - keeps pandas out of the import

    return load_run(folder)


def open(folder: str | Path) -> Run:  # noqa: A001 - what people type: analysis.open(RUN)
    """Read one run: a folder, or a name in results/, as every command takes it.

    Two lines give a tidy frame::

        run = analysis.open("20261123-043333-x86-ae141704")
        losses = run.with_facts(run.metrics)

    Raises:
        UsageError: if there is no such run, naming the nearest.
        DamagedRunError: if its files cannot be read.
    """
    from harness.evidence.reading import find_run  # noqa: PLC0415 - as above

    return load(find_run(str(folder)))
