"""Read run folders into tidy, typed frames; nothing in a folder is ever executed.

A table is read once with the types of its columns, by the compiled reader; only a file that this
refuses is read again as text, to say which column is wrong.

The module is not called `load`, because importing a submodule of that name would replace the
function `analysis.load` on the package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.manifest import Manifest, read_manifest
from harness.schema import (
    AFFINITY_ROUNDS,
    BOOLEANS,
    CELLS,
    CONDITIONS,
    METRICS,
    OLDEST_SCHEMA_VERSION,
    PHASE_ROWS,
    TRACE,
    Column,
)

SAFE_CELL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*")


@dataclass(frozen=True, eq=False)
class Run:
    """Hold one run: its facts, its three tables, and its traces and affinities on demand.

    Two runs are equal only if they are the same object. Frames have the columns of
    `harness.schema`; missing values are NaN, NA or empty text.

    Attributes:
        folder: where the run lies.
        manifest: the facts of the run.
        cells: one row per cell, failed ones included.
        metrics: long table of values.
        phases: one row per phase.
        notes: what a reader should know about the files, in words.
        members: the manifests of the runs pooled in this one; its own alone if it is not pooled.
        origins: cell → folder and name in it, for cells that lie in another folder than `folder`.
    """

    folder: Path
    manifest: Manifest
    cells: pd.DataFrame
    metrics: pd.DataFrame
    phases: pd.DataFrame
    notes: tuple[str, ...] = field(default=())
    members: tuple[Manifest, ...] = field(default=())
    origins: Mapping[str, tuple[Path, str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the run in three lines, because frames in full drown a notebook."""
        sizes = (len(self.cells), len(self.metrics), len(self.phases))
        return (
            f"Run {self.run_id}: {self.manifest.device_title}, tasks {self.tasks}, "
            f"methods {', '.join(self.methods) or 'none finished'}\n"
            "  frames: .cells ({} rows), .metrics ({}), .phases ({})\n".format(*sizes)
            + "  of a cell: .trace(NAME), .conditions, .affinity, .affinity_rounds; "
            "columns: docs/results.md"
        )

    def with_facts(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return `metrics` or `phases` with device, method, seed and repeat of each row's cell."""
        facts = self.cells[["cell", "device", "method", "seed", "repeat"]]
        return frame.merge(facts, on="cell", how="left", validate="many_to_one")

    @property
    def run_id(self) -> str:
        """Return the name of the run."""
        return self.manifest.run_id

    @cached_property
    def done(self) -> pd.DataFrame:
        """Return the rows of the cells that are finished."""
        return self.cells[self.cells["status"] == "done"]

    @property
    def methods(self) -> list[str]:
        """Return the methods with a finished cell, in the order of the file."""
        return list(dict.fromkeys(self.done["method"]))

    @property
    def tasks(self) -> str:
        """Return the task letters of the run."""
        return str(self.cells["tasks"].iloc[0]) if len(self.cells) else ""

    def trace(self, cell: str) -> pd.DataFrame | None:
        """Return the power trace of a cell, or None if it has none or an empty one."""
        path = self._cell_file("traces", cell, ".csv.gz")
        frame = read_table(path, TRACE)[0] if path.is_file() else None
        return None if frame is None or frame.empty else frame

    def affinity_rounds(self, cell: str) -> pd.DataFrame | None:
        """Return the affinities of each round of a cell, or None if it measured none."""
        path = self._cell_file("affinity", cell, "_rounds.csv")
        return read_table(path, AFFINITY_ROUNDS)[0] if path.is_file() else None

    def affinity(self, cell: str) -> pd.DataFrame | None:
        """Return the affinity matrix of a cell (rows: recipients, columns: sources), or None."""
        path = self._cell_file("affinity", cell, ".csv")
        return _read_matrix(path) if path.is_file() else None

    def conditions(self, cell: str) -> pd.DataFrame | None:
        """Return temperature and flags of a cell round by round, or None if none were noted."""
        path = self._cell_file("conditions", cell, ".csv")
        frame = read_table(path, CONDITIONS)[0] if path.is_file() else None
        return None if frame is None or frame.empty else frame

    def _cell_file(self, kind: str, cell: str, ending: str) -> Path:
        if not SAFE_CELL_NAME.fullmatch(cell):
            raise AnalysisError(
                f"{self.folder / 'cells.csv'}: {cell!r} cannot be the name of a cell.",
                "Restore cells.csv from a copy of the run.",
            )
        folder, name = self.origins.get(cell, (self.folder, cell))
        return folder / kind / f"{name}{ending}"


def load_run(folder: str | Path) -> Run:
    """Read one run folder.

    Raises:
        AnalysisError: if a file or column is missing, a value is not of its column's type, the
            schema version is another one, or the run mixes several task sets.
    """
    path = Path(folder)
    manifest = read_manifest(path)
    cells, cell_notes = read_table(path / "cells.csv", CELLS)
    metrics, metric_notes = read_table(path / "metrics.csv", METRICS)
    phases, phase_notes = read_table(path / "phases.csv", PHASE_ROWS)
    if cells["tasks"].nunique() > 1:
        raise AnalysisError(
            f"{path / 'cells.csv'}: holds several task sets: {', '.join(cells['tasks'].unique())}.",
            "Report each task set from a run of its own; their losses cannot be compared.",
        )
    notes = (*cell_notes, *metric_notes, *phase_notes, *_unfinished(cells))
    return Run(path, manifest, cells, metrics, phases, notes, (manifest,))


def load_runs(folders: Sequence[str | Path]) -> list[Run]:
    """Read several run folders, each as a run of its own.

    Raises:
        AnalysisError: as `load_run`, or if two folders hold the same run.
    """
    runs = [load_run(folder) for folder in folders]
    names = [run.run_id for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnalysisError(f"Given twice: run {', '.join(twice)}.", "Name each run once.", 2)
    return runs


def read_table(path: Path, columns: Iterable[Column]) -> tuple[pd.DataFrame, list[str]]:
    """Read one CSV file as typed columns in the order of the schema.

    Returns:
        The frame, and notes on unknown columns and on values that are not finite.

    Raises:
        AnalysisError: if the file or a column is missing or a value is not of its type.
    """
    if not path.is_file():
        raise AnalysisError(f"{path}: missing.", "Copy the whole run folder, or run it again.")
    wanted = list(columns)
    frame = _read_typed(path, wanted)
    if frame is not None:
        return frame, []
    text = _read_text(path)
    absent = [column for column in wanted if column.name not in text.columns]
    text = text.assign(**{c.name: "" for c in absent if c.since > OLDEST_SCHEMA_VERSION})
    missing = [column.name for column in absent if column.since <= OLDEST_SCHEMA_VERSION]
    if missing:
        raise AnalysisError(
            f"{path}: lacks the column {', '.join(missing)}.",
            "Restore the file as harness.run wrote it; columns must not be renamed or removed.",
        )
    unknown = [name for name in text.columns if name not in {column.name for column in wanted}]
    notes = [f"{path.name}: unknown column {name} is not used." for name in unknown]
    typed = {column.name: _typed(path, column, text[column.name]) for column in wanted}
    frame = pd.DataFrame(typed)
    notes += [note for column in wanted for note in _non_finite(path, column, text, frame)]
    return frame, notes


def _read_typed(path: Path, columns: Sequence[Column]) -> pd.DataFrame | None:
    """Return the table if every column is there, of its type and finite; None to look closer."""
    names = [column.name for column in columns]
    numbers = [column.name for column in columns if column.type == "float"]
    whole = [column.name for column in columns if column.type == "int"]
    flags = [column.name for column in columns if column.type == "bool"]
    text = [column.name for column in columns if column.type == "str"]
    types: dict[Any, Any] = {**dict.fromkeys(numbers, "float64"), **dict.fromkeys(whole, "Int64")}
    types |= {**dict.fromkeys(flags, "str"), **dict.fromkeys(text, "str")}
    empty = {name: [""] for name in (*numbers, *whole)}
    try:
        frame = pd.read_csv(
            path, dtype=types, keep_default_na=False, na_values=empty, encoding="utf-8",
            **_exact_floats(),
        )  # fmt: skip
    except (ValueError, TypeError, OSError, pd.errors.ParserError):
        return None
    if list(frame.columns) != names or np.isinf(frame[numbers].to_numpy()).any():
        return None
    if any(set(frame[name].unique()) - {*BOOLEANS, ""} for name in flags):
        return None
    for name in flags:
        frame[name] = frame[name].map({**BOOLEANS, "": pd.NA}).astype("boolean")
    typed: pd.DataFrame = frame.astype(dict.fromkeys(text, object))
    return typed


def _read_text(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError, OSError) as error:
        raise AnalysisError(
            f"{path}: cannot be read as a table ({error}).", "Restore the file from a copy."
        ) from error


def _typed(path: Path, column: Column, values: pd.Series[str]) -> pd.Series[Any]:
    present = values.str.strip() != ""
    try:
        if column.type == "float":
            return values.where(present).astype("float64")
        if column.type == "int":
            whole = [int(value) if value.strip() else pd.NA for value in values]
            return pd.Series(whole, index=values.index, dtype="Int64")
        if column.type == "bool":
            flags = [BOOLEANS[value] if value.strip() else pd.NA for value in values]
            return pd.Series(flags, index=values.index, dtype="boolean")
    except (ValueError, KeyError) as error:
        raise AnalysisError(
            f"{path}: column {column.name} holds a value that is no {column.type} ({error}).",
            "Restore the file as harness.run wrote it.",
        ) from error
    return values.astype(object)


def _non_finite(path: Path, column: Column, text: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """Name a value written as nan or inf, which is not the same as a missing one."""
    if column.type != "float":
        return []
    written = text[column.name].str.strip() != ""
    bad = written & ~np.isfinite(frame[column.name])
    if not bad.any():
        return []
    places = ", ".join(dict.fromkeys(frame.loc[bad, "cell"])) if "cell" in frame else "some rows"
    return [f"{path.name}: {column.name} is not a finite number for {places}; it is left out."]


def _unfinished(cells: pd.DataFrame) -> list[str]:
    rows = cells.loc[cells["status"] != "done", ["cell", "status", "reason"]].astype(str)
    return [
        f"Cell {cell} is {status or 'without status'} and is left out: {reason or 'no reason'}"
        for cell, status, reason in rows.to_numpy().tolist()
    ]


def _read_matrix(path: Path) -> pd.DataFrame:
    """Read a square matrix with task letters around it; lines that begin with # are comments."""
    lines = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    try:
        frame = pd.read_csv(StringIO("\n".join(lines)), index_col=0).astype("float64")
    except (ValueError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise AnalysisError(
            f"{path}: is no matrix of numbers ({error}).", "Restore the file from a copy."
        ) from error
    frame.index = pd.Index([str(name) for name in frame.index])
    frame.columns = pd.Index([str(name) for name in frame.columns])
    if list(frame.index) != list(frame.columns) or not len(frame):
        raise AnalysisError(
            f"{path}: rows {list(frame.index)} and columns {list(frame.columns)} differ.",
            "Restore the file from a copy; the matrix must be square.",
        )
    return frame


def _exact_floats() -> dict[str, Any]:
    """Return what makes pandas read floats to the last bit: since 3.1 it does so unasked."""
    version = tuple(int(part) for part in pd.__version__.split(".")[:2])
    return {} if version >= (3, 1) else {"float_precision": "round_trip"}
