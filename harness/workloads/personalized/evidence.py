"""Recompute what a run of personalised models derives, from its own files."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.core.errors import DamagedRunError, UsageError
from harness.core.guarded_folder import RESTORE
from harness.evidence.derived_cells import counted, predicted
from harness.evidence.findings import Finding, named
from harness.evidence.own_files import own_rows
from harness.evidence.reading import RunFiles
from harness.evidence.stated import Contradiction, contradiction
from harness.evidence.tables import Row
from harness.workloads.personalized.methods.registry import CONTROLS, TAUGHT, parse
from harness.workloads.personalized.tables import CLIENTS_FILE, COSTS_FILE, TEACHERS_FILE


def _rows(run: RunFiles, name: str, cell: str) -> list[Row]:
    """Return the rows of a table; none if it is damaged, which is found elsewhere."""
    try:
        return own_rows(run, name, cell)
    except DamagedRunError:
        return []


def contradictions(run: RunFiles) -> Iterator[Contradiction]:
    """Yield what clients, teachers and costs contradict in cells.csv."""
    work = counted(run)
    for row in run.done:
        cell = str(row["cell"])
        for claim in predicted(run, row, work.get(cell, {}), moved=True):
            yield from contradiction(cell, claim)
        clients = _rows(run, CLIENTS_FILE, cell)
        right = [c["accuracy"] for c in clients if c["accuracy"] is not None]
        if right and row["objective_value"] is not None:
            mean = math.fsum(right) / len(right)
            claim = ("objective_value", row["objective_value"], mean, "its clients' mean is")
            yield from contradiction(cell, claim)
        for column in ("upload_bytes", "download_bytes"):
            if clients and row[column] is not None:
                total = float(sum(c[column] or 0 for c in clients))
                yield from contradiction(
                    cell, (column, float(row[column]), total, "its clients' add up to")
                )
        costs = _rows(run, COSTS_FILE, cell)
        if costs and row["time_s"] is not None:
            total = math.fsum(c["time_s"] for c in costs)
            claim = ("time_s", row["time_s"], total, "its costs by party and phase add up to")
            yield from contradiction(cell, claim)


def findings(run: RunFiles) -> Iterator[Finding]:
    """Yield teachers beyond their limit or of another size than they say, and missing controls."""
    over, wrong = [], []
    for row in run.done:
        cell, limit = str(row["cell"]), _limit(str(row["method"]))
        for teacher in _rows(run, TEACHERS_FILE, cell):
            size, own, ratio = (
                teacher[name] for name in ("teacher_parameters", "parameters", "ratio")
            )
            if size is None or not own:
                continue
            if not math.isclose(ratio or 0.0, size / own, rel_tol=1e-9):
                wrong.append(cell)
            if limit is not None and size > (1.0 + limit) * own:
                over.append(f"{cell}, round {teacher['round']}, client {teacher['client']}")
    if wrong:
        text = f"{named(list(dict.fromkeys(wrong)))}: a teacher's ratio is not that of its sizes"
        yield Finding("damaged", "teacher-ratio", text, RESTORE)
    if over:
        yield Finding("damaged", "limit-broken", f"larger than the limit: {named(over)}", RESTORE)
    yield from _controls(run)
    yield from _not_counted(run)


def _limit(method: str) -> float | None:
    try:
        limit = parse(method).parameters().get("limit")
    except UsageError:
        return None
    return None if limit is None else float(limit)


def _controls(run: RunFiles) -> Iterator[Finding]:
    methods = {str(row["method"]).partition(":")[0] for row in run.done}
    missing = [name for name in CONTROLS if name not in methods]
    if methods & set(TAUGHT) and missing:
        yield Finding(
            "limit", "no-control",
            f"{' and '.join(missing)} did not run: what the teachers' knowledge adds cannot be"
            " told from what any teacher adds",
            f"Run with --methods {','.join(missing)} too.",
        )  # fmt: skip


def _not_counted(run: RunFiles) -> Iterator[Finding]:
    names = {
        f"client {c['client']} {c['not_counted']}"
        for row in run.done
        for c in _rows(run, CLIENTS_FILE, str(row["cell"]))
        if c["not_counted"]
    }
    if names:
        text = f"not in the means of accuracy: {named(sorted(names))}"
        yield Finding("note", "not-counted", text)
