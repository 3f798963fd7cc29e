"""Read the tables of unlearning runs into frames, pooled runs too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.core.loading import Run
from harness.core.errors import DamagedRunError
from harness.core.schema import SCHEMA_VERSION, Column
from harness.evidence.paired import values_by_seed
from harness.evidence.tables import Row, read_table
from harness.workloads.unlearning.comparison import compared
from harness.workloads.unlearning.tables import REQUESTS, REQUESTS_FILE, SUMMARY, SUMMARY_FILE

BATCH = "batch"


def places(run: Run) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    """Yield folder and name there of every finished cell, and its row."""
    for row in run.done.to_dict(orient="records"):
        cell = str(row["cell"])
        folder, name = run.origins.get(cell, (run.folder, cell))
        yield folder, name, {str(key): value for key, value in row.items()}


def summary(run: Run) -> list[dict[str, Any]]:
    """Return the rows of the summary, compared anew: pooled runs may hold the reference apart.

    Raises:
        DamagedRunError: if a file is missing or damaged.
    """
    known: dict[Path, Sequence[Row]] = {}
    found = []
    for folder, name, cell in places(run):
        if folder not in known:
            known[folder] = _table(folder / SUMMARY_FILE, SUMMARY)
        found += [
            {**row, "cell": cell["cell"], "repeat": int(cell["repeat"])}
            for row in known[folder]
            if row["cell"] == name
        ]
    return compared(found)


def requests(run: Run) -> pd.DataFrame:
    """Return a row per answered request, with method, seed and repeat of its cell.

    Raises:
        DamagedRunError: if a file is missing or damaged.
    """
    rows = [
        {**row, **{key: cell[key] for key in ("cell", "method", "seed", "repeat")}}
        for folder, name, cell in places(run)
        for row in _table(folder / REQUESTS_FILE.replace("<cell>", name), REQUESTS)
        if row["status"] == "done"
    ]
    return pd.DataFrame(rows)


def _table(path: Path, columns: tuple[Column, ...]) -> Sequence[Row]:
    try:
        return list(read_table(path, columns, SCHEMA_VERSION).rows)
    except OSError as error:
        raise DamagedRunError(f"{path}: cannot be read: {error.strerror}") from None


def by_seed(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """Return a value of one method for each seed that has it, repeats averaged within the seed."""
    return list(values_by_seed(rows, rows[0]["method"], name).values())


def data_words(run: Run) -> str:
    """Say whether data are real or generated."""
    facts = run.manifest.section("data")
    name = str(facts.get("name") or "unknown")
    return f"real data: {name}" if facts.get("origin") == "real" else "generated data"


def cost_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str, str, str]:
    """Return columns of set-up and request, words and unit of the best cost that all rows have."""
    if rows and all(r["request_energy_j"] is not None and r["setup_energy_j"] is not None
                    for r in rows):  # fmt: skip
        return "setup_energy_j", "request_energy_j", "Measured energy", "J"
    if rows and all(r["request_energy_model_j"] is not None for r in rows):
        return "setup_energy_model_j", "request_energy_model_j", "Modelled energy", "J"
    return "setup_time_s", "request_time_s", "Time", "s"
