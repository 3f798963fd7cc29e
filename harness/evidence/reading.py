"""Read a run folder with nothing but the standard library, and report all damage at once.

`analysis.core.loading` reads the same files into frames; commands that only judge a run must
answer on a board without pandas. Nothing in a folder is ever executed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.names import nearest
from harness.core.errors import DamagedRunError, HarnessError, UsageError, raise_all
from harness.core.guarded_folder import RESTORE, guard, is_safe_name
from harness.core.schema import CELLS, METRICS, PHASE_ROWS, Column, sessions_of, version_problem
from harness.core.shell_words import shell_word
from harness.evidence.bundles import WHAT, bundle_words, is_bundle
from harness.evidence.findings import MOST_NAMED
from harness.evidence.going_on import MEASURED
from harness.evidence.overview import bundles, run_folders
from harness.evidence.tables import CsvTable, Row, read_table, stream_table
from harness.run_folder.resume import read_manifest

TABLES: Mapping[str, tuple[Column, ...]] = {
    "cells.csv": CELLS,
    "metrics.csv": METRICS,
    "phases.csv": PHASE_ROWS,
}
STREAMED_FROM_BYTES = 16 << 20
"""A table of values from this size on is read from the disk at every use, never kept whole."""

VALUES = "metrics.csv"
DEVICES_FILE = "devices.csv"
NAMES = ("run_id", "cell", "method", "seed", "repeat")
"""Columns of cells.csv that are never empty."""


@dataclass(frozen=True)
class RunFiles:
    """Hold what a run folder says of itself: its manifest and its three tables."""

    folder: Path
    manifest: Mapping[str, Any]
    tables: Mapping[str, CsvTable]

    @property
    def run_id(self) -> str:
        """Return the name the run gave itself."""
        return str(self.manifest["run_id"])

    @property
    def cells(self) -> Collection[Row]:
        """Return the rows of cells.csv."""
        return self.tables["cells.csv"].rows

    @property
    def phases(self) -> Collection[Row]:
        """Return the rows of phases.csv."""
        return self.tables["phases.csv"].rows

    @property
    def done(self) -> list[Row]:
        """Return the rows of cells that are done."""
        return [row for row in self.cells if row["status"] == "done"]

    @property
    def is_measured(self) -> bool:
        """Say whether this is what somebody's own program cost, not a run of a workload."""
        return self.manifest.get("workload") == MEASURED

    @property
    def meters(self) -> list[Mapping[str, Any]]:
        """Return what the manifest says of each meter; a run of a workload has one."""
        told = self.manifest.get("meters") if self.is_measured else None
        several = [meter for meter in told or () if isinstance(meter, dict)]
        return [*several] or [self.section("meter")]

    @property
    def is_of_clients(self) -> bool:
        """Say whether clients measured themselves and told it: devices.csv alone has it."""
        return self.is_measured and not any(self.meters) and (self.folder / DEVICES_FILE).is_file()

    @property
    def idles(self) -> list[Mapping[str, Any]]:
        """Return what was seen of idle power, session by session, empty where it was not looked at.

        What was measured for somebody is one session, and says it of the whole.
        """
        if self.is_measured:
            return [self.section("idle")]
        told = [s.get("idle") for s in sessions_of(self.manifest) if isinstance(s, dict)]
        return [i if isinstance(i, dict) else {} for i in told] or [self.section("idle")]

    def section(self, name: str) -> Mapping[str, Any]:
        """Return one object of the manifest, empty if it is absent or null."""
        value = self.manifest.get(name)
        return value if isinstance(value, dict) else {}


def find_run(text: str, results: Path = Path("results")) -> Path:
    """Return the folder meant: a path, or the name of a run anywhere in the folder of results.

    Raises:
        UsageError: if there is no such folder, naming the nearest ones.
    """
    for candidate in (Path(text), results / text):
        if candidate.is_dir():
            refuse_a_bundle(candidate)
            _refuse_a_shelf(candidate)
            return candidate
    folder = Path(text)
    below = run_folders(results) if results.is_dir() and folder.name == text else ()
    named = [path for path in below if path.name == text]
    if len(named) == 1:
        return named[0]
    parent = folder.parent if folder.parent != Path() else results
    there = (path.parent for path in parent.glob("*/manifest.json"))
    names = sorted(path.name for path in there if not is_bundle(path))
    near = (nearest(folder.name, names, 0.4) or names[-1:])[:3]
    hint = f"Did you mean {' or '.join(shell_word(parent / n) for n in near)}? " if near else ""
    how = "python -m harness.list runs shows them." if near else "python -m harness.run makes one."
    raise UsageError(f"{text}: no such run folder", hint + how)


def refuse_a_bundle(folder: Path) -> None:
    """Refuse a bundle where a run is asked for.

    Raises:
        UsageError: naming what checks it, and its runs.
    """
    if is_bundle(folder):
        raise UsageError(f"{folder}: is {WHAT}", bundle_words(folder))


def _refuse_a_shelf(folder: Path) -> None:
    """Refuse a folder that is no run but has runs below it, or else bundles.

    Raises:
        UsageError: naming them.
    """
    if (folder / "manifest.json").exists():
        return
    runs = list(run_folders(folder))
    if runs:
        names = ", ".join(map(shell_word, runs[:MOST_NAMED]))
        more = f" and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else ""
        raise UsageError(
            f"{folder}: is no run folder, but has {len(runs)} below it",
            f"Did you mean {names}{more}? python -m harness.list runs --out {shell_word(folder)}",
        )
    for bundle in bundles(folder):
        refuse_a_bundle(bundle)


def read_run(folder: Path) -> RunFiles:
    """Read manifest and tables of a run folder.

    Raises:
        DamagedRunError: if one file is missing, damaged or of another schema version.
        SeveralProblems: if several are.
    """
    guard(folder)
    manifest = _read_manifest(folder / "manifest.json")
    version = int(manifest["schema_version"])
    tables: dict[str, CsvTable] = {}
    problems: list[HarnessError] = []
    for name, columns in TABLES.items():
        found = _table_or_error(folder / name, columns, version)
        if isinstance(found, CsvTable):
            tables[name] = found
        else:
            problems.append(found)
    raise_all(problems)
    _check_names(folder / "cells.csv", tables["cells.csv"].rows)
    return RunFiles(folder, manifest, tables)


def _check_names(path: Path, cells: Collection[Row]) -> None:
    """Refuse cells that do not say what they are, as nothing can be said of them."""
    for number, row in enumerate(cells, 2):
        empty = [name for name in NAMES if row[name] in (None, "")]
        if empty:
            raise DamagedRunError(f"{path}, record {number}: {', '.join(empty)} is empty", RESTORE)
        if not is_safe_name(row["cell"]):
            name = str(row["cell"])[:40]
            raise DamagedRunError(
                f"{path}, record {number}: {name!r} cannot be the name of a cell", RESTORE
            )


def _table_or_error(
    path: Path, columns: Sequence[Column], version: int
) -> CsvTable | DamagedRunError:
    try:
        if path.name == VALUES and _is_large(path):
            return stream_table(path, columns, version)
        return read_table(path, columns, version)
    except DamagedRunError as error:
        return error


def _is_large(path: Path) -> bool:
    return path.is_file() and path.stat().st_size >= STREAMED_FROM_BYTES


def _read_manifest(path: Path) -> dict[str, Any]:
    manifest = read_manifest(path.parent)
    _check_version(path, manifest.get("schema_version"))
    for key, kind in (("run_id", str), ("config", dict)):
        if not isinstance(manifest.get(key), kind):
            raise DamagedRunError(f"{path}: {key} is missing or of another kind", RESTORE)
    if manifest.get("workload") == MEASURED:
        config = manifest["config"]
        one_cell = {"methods": [config.get("label")], "seeds": [0], "repeats": 1}
        manifest["config"] = {**one_cell, **config}  # a `Measurement` did not always say so
    return manifest


def _check_version(path: Path, version: object) -> None:
    problem = version_problem(version)
    if problem is not None:
        raise DamagedRunError(f"{path}: {problem[0]}", problem[1])
