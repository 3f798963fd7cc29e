"""Recompute components.csv: what every rail of a meter took, from the samples of a cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from harness.core.errors import DamagedRunError
from harness.core.schema import COMPONENTS, SCHEMA_VERSION
from harness.evidence.charged import charged_windows, named_windows
from harness.evidence.reading import RunFiles
from harness.evidence.samples import CellSamples
from harness.evidence.tables import Row, read_table

NAME = "components.csv"
AGREE = 1e-3
"""Share by which joules may differ: integration may be refined."""

Found = tuple[str, str, str]


def component_rows(run: RunFiles) -> list[Row]:
    """Return the rows of components.csv; none if there is none, or it is damaged."""
    if not (run.folder / NAME).is_file():
        return []
    try:
        return list(read_table(run.folder / NAME, COMPONENTS, SCHEMA_VERSION).rows)
    except DamagedRunError:
        return []  # named by what looks at files


def component_contradictions(
    run: RunFiles, rows: Iterable[Row], phases: Sequence[Row], cell_samples: CellSamples
) -> Iterator[Found]:
    """Yield joules and bounds of a cell's rails that its samples contradict."""
    for row in rows:
        samples = cell_samples.meter(str(row["meter"]))
        if row["energy_j"] is None or samples is None:
            continue
        if row["phase"]:
            windows = named_windows(run, phases, str(row["phase"]), str(row["job"]))
        else:
            windows = charged_windows(run, phases)
        rail = str(row["rail"])
        for column, parts in (
            ("energy_j", [samples.rail_energy_j(rail, window) for window in windows]),
            ("energy_error_j", [samples.error_j(window, rail) for window in windows]),
        ):
            known = [part for part in parts if part is not None]
            stated, least = row[column], math.fsum(known)
            if stated is None or not known:
                continue
            slack = AGREE * max(1.0, least)
            whole = len(known) == len(parts)
            if stated < least - slack or (whole and stated > least + slack):
                text = f"{column} of rail {rail} is {stated:.6g} J in {NAME}, its samples give"
                yield f"components' {column}", str(row["cell"]), f"{text} {least:.6g} J"
