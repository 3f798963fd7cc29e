"""Read run folders into tidy, typed frames; nothing in a folder is ever executed.

The module is not called `load`, because importing a submodule of that name would replace the
function `analysis.load` on the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.core.manifest import Manifest, read_manifest
from analysis.core.reading import read_matrix, read_table
from analysis.core.values import read_values
from harness.core.errors import DamagedRunError, UsageError, unknown
from harness.core.guarded_folder import guard, is_safe_name
from harness.core.schema import (
    AFFINITY_ROUNDS,
    CELLS,
    COMPONENTS,
    CONDITIONS,
    DEVICES,
    PHASE_ROWS,
    TRACE,
    Column,
)


@dataclass(frozen=True, eq=False)
class Run:
    """Hold one run: its facts, its three tables, and its traces and affinities on demand.

    Two runs are equal only if they are the same object. Frames have the columns of
    `harness.core.schema`; missing values are NaN, NA or empty text.

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

    @cached_property
    def disturbances(self) -> pd.DataFrame:
        """Return a row per cell and disturbance: its `cell`, and `disturbance`, a word such as gap.

        The column `flags` of a frame can be read as `frame["flags"]` alone, as `frame.flags` is
        pandas' own; here each word is a row.
        """
        words = self.cells["flags"].fillna("").astype(str).str.split("+")
        rows = pd.DataFrame({"cell": self.cells["cell"], "disturbance": words})
        rows = rows.explode("disturbance").reset_index(drop=True)
        return rows[rows["disturbance"] != ""].reset_index(drop=True)

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

    @cached_property
    def devices(self) -> pd.DataFrame | None:
        """Return the rows of devices.csv; None for a run on one device, or several runs pooled."""
        path = self.folder / "devices.csv"
        if len(self.members) > 1 or not path.is_file():
            return None
        return read_table(path, DEVICES)[0]

    @property
    def is_fleet(self) -> bool:
        """Tell whether devices of their own trained, in pooled runs, too."""
        return self.devices is not None or bool(self.manifest.section("fleet"))

    @cached_property
    def components(self) -> pd.DataFrame | None:
        """Return the rows of components.csv; None if the run has none, or several are pooled."""
        path = self.folder / "components.csv"
        if len(self.members) > 1 or not path.is_file():
            return None
        return read_table(path, COMPONENTS)[0]

    def trace(self, cell: str) -> pd.DataFrame | None:
        """Return the power trace of a cell, or None if it has none or an empty one.

        This and what follows raise UnknownNameError for a cell that the run does not have.
        """
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
        return read_matrix(path) if path.is_file() else None

    def conditions(self, cell: str) -> pd.DataFrame | None:
        """Return temperature and flags of a cell round by round, or None if none were noted."""
        path = self._cell_file("conditions", cell, ".csv")
        frame = read_table(path, CONDITIONS)[0] if path.is_file() else None
        return None if frame is None or frame.empty else frame

    def own_table(self, name: str, cell: str, columns: Sequence[Column]) -> pd.DataFrame | None:
        """Return a table that only the run's workload has, by its path with `<cell>` in it."""
        kind, _, ending = name.partition("/<cell>")
        path = self._cell_file(kind, cell, ending)
        return read_table(path, tuple(columns))[0] if path.is_file() else None

    def _cell_file(self, kind: str, cell: str, ending: str) -> Path:
        _check_name(self.folder, cell)
        self._check_known(cell)
        folder, name = self.origins.get(cell, (self.folder, cell))
        return folder / kind / f"{name}{ending}"

    def _check_known(self, cell: str) -> None:
        names = [str(name) for name in self.cells["cell"]]
        if cell not in names:
            raise unknown(f"cell of {self.run_id}", cell, names)


def _check_name(folder: Path, cell: str) -> None:
    if not is_safe_name(cell):
        raise DamagedRunError(
            f"{folder / 'cells.csv'}: {cell[:40]!r} cannot be the name of a cell",
            "Restore cells.csv from a copy of the run.",
        )


def load_run(folder: str | Path) -> Run:
    """Read one run folder.

    Raises:
        DamagedRunError: if a file or column is missing, a value is not of its column's type, the
            schema version is another one, a cell stands twice, or the run mixes several task sets.
    """
    path = Path(folder)
    guard(path)
    manifest = read_manifest(path)
    cells, cell_notes = read_table(path / "cells.csv", CELLS)
    metrics, metric_notes = read_values(path / "metrics.csv")
    phases, phase_notes = read_table(path / "phases.csv", PHASE_ROWS)
    timed = np.isfinite(phases[["start_s", "end_s"]].to_numpy(dtype=float)).all(axis=1)
    phases = phases.loc[timed].reset_index(drop=True)
    for name in cells["cell"]:
        _check_name(path, name)
    twice = cells.loc[cells["cell"].duplicated(), "cell"].astype(str)
    if len(twice):
        raise DamagedRunError(
            f"{path / 'cells.csv'}: holds {', '.join(twice.unique())} more than once",
            "Restore the file as harness.run wrote it; a repeat is a cell with a name of its own.",
        )
    if cells["tasks"].nunique() > 1:
        raise DamagedRunError(
            f"{path / 'cells.csv'}: holds several task sets: {', '.join(cells['tasks'].unique())}",
            "Report each task set from a run of its own; their losses cannot be compared.",
        )
    notes = (*cell_notes, *metric_notes, *phase_notes, *_unfinished(cells))
    return Run(path, manifest, cells, metrics, phases, notes, (manifest,))


def load_runs(folders: Sequence[str | Path]) -> list[Run]:
    """Read several run folders, each as a run of its own.

    Raises:
        DamagedRunError: as `load_run`.
        UsageError: if two folders hold the same run.
    """
    runs = [load_run(folder) for folder in folders]
    names = [run.run_id for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"Given twice: run {', '.join(twice)}", "Name each run once.")
    return runs


def _unfinished(cells: pd.DataFrame) -> list[str]:
    rows = cells.loc[cells["status"] != "done", ["cell", "status", "reason"]].astype(str)
    return [
        f"Cell {cell} is {status or 'without status'} and is left out: {reason or 'no reason'}"
        for cell, status, reason in rows.to_numpy().tolist()
    ]
