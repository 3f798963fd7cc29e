"""Recompute components.csv: what every rail of a meter took, from the samples of a cell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from harness.core.errors import DamagedRunError
from harness.core.schema import COMPONENTS, COST_PHASES, SCHEMA_VERSION
from harness.evidence.reading import RunFiles
from harness.evidence.samples import KeptSamples, stretches
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
    run: RunFiles, cell: str, phases: Sequence[Row], samples: KeptSamples
) -> Iterator[Found]:
    """Yield joules and bounds of rails that the samples contradict."""
    for row in component_rows(run):
        if row["cell"] != cell or row["energy_j"] is None:
            continue
        windows = _windows(row, phases)
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
                yield f"components' {column}", cell, f"{text} {least:.6g} J"


def _windows(row: Row, phases: Sequence[Row]) -> list[tuple[float, float]]:
    """Return the charged phases a row speaks of, or the stretches of the whole cell."""
    if row["phase"]:
        return [
            (p["start_s"], p["end_s"])
            for p in phases
            if p["phase"] == row["phase"] and p["job"] == row["job"] and p["phase"] in COST_PHASES
        ]
    return stretches(phases)
