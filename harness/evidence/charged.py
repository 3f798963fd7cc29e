"""Say which phases a cell is charged for, as its figures are the sum of those.

A method is charged for the phases of `COST_PHASES`. What was measured for somebody is charged as a
whole: its phases bear any names, those of a method too, and may lie within one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.core.schema import COST_PHASES
from harness.evidence.reading import RunFiles
from harness.evidence.tables import Row

WHOLES = ("command", "total")
"""How `harness.measure` and `Measurement` name all that they measured."""

Window = tuple[float, float]


def charged_rows(run: RunFiles, phases: Iterable[Row]) -> list[Row]:
    """Return the phases of one cell that it is charged for.

    Of several with the name of the whole the one that begins first is meant: the others are
    somebody's own and lie in it.
    """
    if not run.is_measured:
        return [phase for phase in phases if phase["phase"] in COST_PHASES]
    told = run.manifest.get("charged_phases")
    names = [name for name in WHOLES if not isinstance(told, list) or name in told]
    wholes = [phase for phase in phases if phase["phase"] in names]
    return sorted(wholes, key=lambda phase: phase["start_s"] or 0.0)[:1]


def charged(run: RunFiles) -> Mapping[str, list[Row]]:
    """Return the phases that every cell is charged for, in the order of the file."""
    return {cell: charged_rows(run, phases) for cell, phases in by_cell(run.phases).items()}


def by_cell(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    """Return the rows of a table that are of a cell, by cell, in the order of the file."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["cell"]:
            found.setdefault(str(row["cell"]), []).append(row)
    return found


def charged_windows(run: RunFiles, phases: Sequence[Row]) -> list[Window]:
    """Return windows of charged phases of one cell between which no other phase lies."""
    own = charged_rows(run, phases)
    if run.is_measured:
        return [(phase["start_s"], phase["end_s"]) for phase in own]
    found: list[Window] = []
    joined = False
    for phase in sorted(phases, key=lambda p: float(p["start_s"])):
        if phase["phase"] == "lost":
            continue
        counts = phase["phase"] in COST_PHASES
        if counts and joined:
            found[-1] = (found[-1][0], phase["end_s"])
        elif counts:
            found.append((phase["start_s"], phase["end_s"]))
        joined = counts
    return found


def named_windows(run: RunFiles, phases: Iterable[Row], name: str, job: str) -> list[Window]:
    """Return the windows of a cell's phases of one name that components.csv adds up.

    A method's are charged phases of one job, one after another. Somebody's own may overlap: what
    they cover together counts once.
    """
    own = [phase for phase in phases if phase["phase"] == name]
    if not run.is_measured:
        of_job = (p for p in own if p["job"] == job and name in COST_PHASES)
        return [(p["start_s"], p["end_s"]) for p in of_job]
    whole = charged_rows(run, own)
    return joined((p["start_s"], p["end_s"]) for p in own if not any(p is w for w in whole))


def joined(windows: Iterable[Window]) -> list[Window]:
    """Return the stretches that windows cover together, in order."""
    found: list[Window] = []
    for start_s, end_s in sorted(windows):
        if found and start_s <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end_s))
        else:
            found.append((start_s, end_s))
    return found
