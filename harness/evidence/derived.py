"""Recompute what a run derives from its own files, and name what does not follow from them.

A cell's seconds and joules come from phases.csv; what its workload derives, such as losses, is the
workload's to recompute. It is written anew from the meaning of the columns, not shared with the
writer, so that a mistake of one is seen by the other. What is nobody's to recompute, because it
was observed, is listed in `harness.evidence.observed`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from harness.core.guarded_folder import RESTORE
from harness.evidence.charged import charged
from harness.evidence.derived_cells import cell_contradictions
from harness.evidence.derived_energy import phase_contradictions
from harness.evidence.derived_tables import table_contradictions
from harness.evidence.findings import Finding, named
from harness.evidence.own_files import workload_of
from harness.evidence.reading import RunFiles
from harness.evidence.stated import Claim, Contradiction, contradiction, total
from harness.evidence.tables import Row


def derived(run: RunFiles) -> Iterator[Finding]:
    """Yield columns whose values do not follow from what they are derived of, one finding each."""
    wrong: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for column, cell, text in (
        *_cells(run),
        *phase_contradictions(run),
        *table_contradictions(run),
    ):
        wrong[column].append((cell, text))
    for column, those in wrong.items():
        cells = list(dict.fromkeys(cell for cell, _ in those))
        more = f"; so in {named(cells)}" if len(cells) > 1 else ""
        code = "sums" if column in {"time_s", "energy_j"} else "derived"
        yield Finding("damaged", code, f"{cells[0]}: {those[0][1]}{more}", RESTORE)


def _cells(run: RunFiles) -> Iterator[Contradiction]:
    """Yield column, cell and words for every value of cells.csv that does not follow."""
    of_cell = charged(run)
    for row in run.done:
        cell = str(row["cell"])
        for claim in _sums(row, of_cell.get(cell, []), fleet=bool(run.section("fleet"))):
            yield from contradiction(cell, claim)
    yield from cell_contradictions(run)
    workload = workload_of(run)
    if workload is not None:
        yield from workload.contradictions(run)


def _sums(row: Row, own: list[Row], *, fleet: bool) -> Iterator[Claim]:
    """Yield what a cell's charged phases add up to.

    The joules of a fleet are those of its devices; what its server draws is in no cell.
    """
    for column in ("time_s", "time_model_s", "energy_j", "energy_model_j"):
        parts = [phase[column] for phase in own]
        of_server = fleet and column != "time_s"
        if row[column] is not None and parts and None not in parts and not of_server:
            yield column, row[column], total(parts), "its phases add up to"
