"""Recompute what a run derives from its own files, and name what does not follow from them.

A cell's seconds and joules come from phases.csv; what its workload derives, such as losses, is the
workload's to recompute. It is written anew from the meaning of the
columns, not shared with the writer, so that a mistake of one is seen by the other.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from harness.core.guarded_folder import RESTORE
from harness.core.schema import COST_PHASES
from harness.evidence.derived_energy import phase_contradictions
from harness.evidence.findings import Finding, named
from harness.evidence.own_files import workload_of
from harness.evidence.reading import Row, RunFiles

Claim = tuple[str, float, float, str]
"""Column, value stated, value computed, and where the latter comes from."""

Contradiction = tuple[str, str, str]
"""Column, cell, and in words what does not follow."""

AGREE = 1e-6
"""Relative difference up to which two sums of the same numbers are the same."""


def derived(run: RunFiles) -> Iterator[Finding]:
    """Yield columns whose values do not follow from what they are derived of, one finding each."""
    wrong: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for column, cell, text in (*_cells(run), *phase_contradictions(run)):
        wrong[column].append((cell, text))
    for column, those in wrong.items():
        cells = list(dict.fromkeys(cell for cell, _ in those))
        more = f"; so in {named(cells)}" if len(cells) > 1 else ""
        code = "sums" if column in {"time_s", "energy_j"} else "derived"
        yield Finding("damaged", code, f"{cells[0]}: {those[0][1]}{more}", RESTORE)


def _cells(run: RunFiles) -> Iterator[Contradiction]:
    """Yield column, cell and words for every value of cells.csv that does not follow."""
    charged = _charged(run)
    for row in run.done:
        cell = str(row["cell"])
        for claim in _sums(row, charged[cell], fleet=bool(run.section("fleet"))):
            yield from contradiction(cell, claim)
    workload = workload_of(run)
    if workload is not None:
        yield from workload.contradictions(run)


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


def _charged(run: RunFiles) -> Mapping[str, list[Row]]:
    charged: dict[str, list[Row]] = defaultdict(list)
    for phase in run.phases:
        if phase["phase"] in COST_PHASES:
            charged[str(phase["cell"])].append(phase)
    return charged


def _sums(row: Row, own: list[Row], *, fleet: bool) -> Iterator[Claim]:
    """Yield what a cell's charged phases add up to.

    The joules of a fleet are those of its devices; what its server draws is in no cell.
    """
    for column in ("time_s", "time_model_s", "energy_j", "energy_model_j"):
        parts = [phase[column] for phase in own]
        of_server = fleet and column != "time_s"
        if row[column] is not None and parts and None not in parts and not of_server:
            yield column, row[column], total(parts), "its phases add up to"
