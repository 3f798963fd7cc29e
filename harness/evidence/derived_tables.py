"""Recompute the tables beside cells.csv and phases.csv: work, affinity, devices, inference."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from harness.core.errors import DamagedRunError
from harness.core.schema import (
    AFFINITY_CLIENTS,
    AFFINITY_ROUNDS,
    COMPONENTS,
    DEVICES,
    SCHEMA_VERSION,
    WORK,
    Column,
)
from harness.evidence.derived_devices import device_contradictions
from harness.evidence.derived_inference import inference_contradictions
from harness.evidence.reading import RunFiles
from harness.evidence.stated import AGREE, Contradiction, total
from harness.evidence.tables import Row, read_table

UNITS = {"forward": "samples", "trained": "samples", "bytes": "B"}
"""First word of a kind of work → its unit."""


def table_contradictions(run: RunFiles) -> Iterator[Contradiction]:
    """Yield column, cell and words for what does not follow in tables that stand beside a cell."""
    tables = {
        "metrics.csv": run.tables["metrics.csv"].rows,
        "phases.csv": run.phases,
        "work.csv": beside(run, "work.csv", WORK),
        "components.csv": beside(run, "components.csv", COMPONENTS),
        "devices.csv": beside(run, "devices.csv", DEVICES),
    }
    cells = {str(row["cell"]) for row in run.cells}
    asked = _asked(run)
    for name, rows in tables.items():
        yield from _names(run, name, rows, lambda cell: cell in cells or cell.endswith(asked))
    yield from _units(tables["work.csv"])
    yield from _affinities(run)
    if tables["devices.csv"]:
        yield from device_contradictions(run, list(tables["devices.csv"]))
    yield from inference_contradictions(run)


def _asked(run: RunFiles) -> tuple[str, ...]:
    """Return how names of cells end that a run was asked for: what is missing is no damage."""
    config = run.section("config")
    seeds, repeats = config.get("seeds"), config.get("repeats")
    if not isinstance(seeds, list) or not isinstance(repeats, int):
        return ()
    return tuple(f"-s{seed}-r{repeat}" for seed in seeds for repeat in range(min(repeats, 10_000)))


def beside(run: RunFiles, name: str, columns: Sequence[Column]) -> list[Row]:
    """Return the rows of a table; none if it is not there, or damaged, which is found elsewhere."""
    path = run.folder / name
    try:
        return list(read_table(path, columns, SCHEMA_VERSION).rows) if path.is_file() else []
    except DamagedRunError:
        return []


def _names(
    run: RunFiles, name: str, rows: Collection[Row], known: Callable[[str], bool]
) -> Iterator[Contradiction]:
    """Yield the first row of a table that names another run, and that of an unknown cell."""
    wrong: dict[str, str] = {}
    for row in rows:
        if row["run_id"] != run.run_id:
            wrong.setdefault("run_id", f"run_id is {row['run_id']} in {name}, not {run.run_id}")
        if row["cell"] and not known(str(row["cell"])):
            wrong.setdefault("cell", f"cell {row['cell']} of {name} is none of the run")
    for column, text in wrong.items():
        yield f"{name} {column}", name, text


def _units(work: Collection[Row]) -> Iterator[Contradiction]:
    for row in work:
        first = str(row["kind"]).partition(" ")[0]
        if UNITS.get(first) != row["unit"]:
            text = f"unit of kind '{row['kind']}' is '{row['unit']}' in work.csv"
            yield "work's unit", str(row["cell"]), text
            return


def _affinities(run: RunFiles) -> Iterator[Contradiction]:
    """Yield means and spreads of a round that those of its clients contradict."""
    for row in run.done:
        cell = str(row["cell"])
        rounds = beside(run, f"affinity/{cell}_rounds.csv", AFFINITY_ROUNDS)
        clients: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for own in beside(run, f"affinity/{cell}_clients.csv", AFFINITY_CLIENTS):
            clients[own["round"], own["recipient"], own["source"]].append(own)
        for told in rounds if clients else ():
            own_rows = clients.get((told["round"], told["recipient"], told["source"]), [])
            yield from _affinity(cell, told, own_rows)
            if not own_rows:
                text = f"round {told['round']}, recipient {told['recipient']}, source"
                yield "affinity", cell, f"{text} {told['source']} of affinity/ are of no client"


def _affinity(cell: str, told: Row, clients: Sequence[Row]) -> Iterator[Contradiction]:
    means = [row["mean"] for row in clients]
    if None in means or not means:
        return
    found = {
        "mean": total(means) / len(means),
        "std": statistics.stdev(means) if len(means) > 1 else None,
        "count": sum(row["count"] or 0 for row in clients),
    }
    for column, computed in found.items():
        stated = told[column]
        if stated is None or computed is None or math.isnan(stated):
            agree = stated is None or (computed is None and math.isnan(stated))
        else:
            agree = math.isclose(stated, computed, rel_tol=AGREE, abs_tol=1e-12)
        if not agree:
            text = (
                f"{column} is {stated} in affinity/{cell}_rounds.csv, its clients give {computed}"
            )
            yield f"affinity's {column}", cell, text
