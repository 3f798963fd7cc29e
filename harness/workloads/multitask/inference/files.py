"""Write what inference finds below a run: rows as they come, so that a stop loses none of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import DamagedRunError, UsageError
from harness.core.schema import INFERENCE, INFERENCE_METRICS, PHASE_ROWS, SCHEMA_VERSION, Column
from harness.evidence.tables import parse_table
from harness.run_folder.results import RunFolder, append_durably, csv_text, storage_errors
from harness.run_folder.resume import read_manifest

Row = dict[str, Any]

TABLE = "inference.csv"
FOLDER = "inference"
METRICS = f"{FOLDER}/metrics.csv"
PHASES = f"{FOLDER}/phases.csv"
MANIFEST = f"{FOLDER}/manifest.json"
FRESH = "Begin anew with --fresh; it replaces all exports and figures of inference."

KEY = ("cell", "job", "runtime", "precision", "provider", "scenario", "threads", "batch_size")
"""What names one measurement."""

SUBJECT = ("cell", "job", "runtime", "precision", "provider")
"""What names one row's worth of accuracy, together with task and metric."""


@dataclass(frozen=True)
class Kept:
    """Hold what an earlier start left: rows of inference.csv, and the end of its time."""

    rows: Sequence[Row]
    end_s: float
    starts: int


class InferenceFiles:
    """Own the files of inference of one run."""

    def __init__(self, run: Path) -> None:
        self.folder = RunFolder(run)

    @property
    def path(self) -> Path:
        """Return the folder of the run."""
        return self.folder.path

    def clear(self) -> None:
        """Remove all that inference wrote."""
        with storage_errors(self.path):
            (self.path / TABLE).unlink(missing_ok=True)
            if (self.path / FOLDER).exists():
                shutil.rmtree(self.path / FOLDER)

    def take_up(self, identity: Mapping[str, Any]) -> Kept:
        """Return what is there of the same kind, or begin the tables.

        Raises:
            UsageError: if what is there was measured in another way.
            DamagedRunError: if it cannot be read.
        """
        if not (self.path / MANIFEST).is_file() or not (self.path / TABLE).is_file():
            for name, columns in self._tables():
                self.folder.text(name, csv_text(columns, []))
            return Kept((), 0.0, 0)
        old = read_manifest(self.path / FOLDER)
        before = old.get("identity")
        known = before if isinstance(before, dict) else {}
        changed = [f"{k} {known.get(k)} → {v}" for k, v in identity.items() if known.get(k) != v]
        if changed:
            raise UsageError(
                f"{self.path / TABLE} holds figures that were measured in another way:"
                f" {'; '.join(changed)}",
                FRESH,
            )
        rows = [dict(row) for row in self._rows(TABLE, INFERENCE) if row["status"] == "done"]
        self.folder.text(TABLE, csv_text(INFERENCE, rows))
        phases = self._rows(PHASES, PHASE_ROWS)
        self.folder.text(PHASES, csv_text(PHASE_ROWS, phases))
        end_s = max((float(row["end_s"] or 0.0) for row in phases), default=0.0)
        return Kept(rows, end_s, int(old.get("starts") or 1))

    def _tables(self) -> Iterable[tuple[str, Sequence[Column]]]:
        return ((TABLE, INFERENCE), (METRICS, INFERENCE_METRICS), (PHASES, PHASE_ROWS))

    def _rows(self, name: str, columns: Sequence[Column]) -> list[Row]:
        """Return the whole lines of a table; one that a power cut tore is left out."""
        path = self.path / name
        try:
            content = path.read_bytes()
            return [dict(row) for row in parse_table(path, content, columns, SCHEMA_VERSION).rows]
        except OSError as error:
            raise DamagedRunError(f"{path}: cannot be read: {error.strerror}", FRESH) from None
        except DamagedRunError as error:
            raise DamagedRunError(error.message, FRESH) from None

    def append(self, row: Row) -> None:
        """Append one measurement."""
        text = csv_text(INFERENCE, [row], header=False)
        append_durably(self.path / TABLE, text.encode())

    def rewrite(self, rows: list[Row]) -> None:
        """Write all measurements anew, in one order whatever that of measuring was."""
        ordered: list[Row] = sorted(rows, key=_place)
        self.folder.text(TABLE, csv_text(INFERENCE, ordered))

    def phases(self, rows: Iterable[Row]) -> None:
        """Append phases."""
        text = csv_text(PHASE_ROWS, rows, header=False)
        append_durably(self.path / PHASES, text.encode())

    def accuracy(self, rows: Sequence[Row]) -> None:
        """Write rows of accuracy, in place of those of the same models that are there."""
        fresh = {tuple(row[k] for k in SUBJECT) for row in rows}
        old = self._rows(METRICS, INFERENCE_METRICS)
        kept = [row for row in old if tuple(row[k] for k in SUBJECT) not in fresh]
        self.folder.text(METRICS, csv_text(INFERENCE_METRICS, [*kept, *rows]))

    def manifest(self, values: Mapping[str, Any]) -> None:
        """Write the manifest of inference anew."""
        RunFolder(self.path / FOLDER).manifest(values)


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what names a measurement."""
    return tuple(row[name] for name in KEY)


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (row["seed"], row["method"], row["job"] or "", row["runtime"], row["precision"],
            row["provider"], row["scenario"] or "", row["threads"] or 0,
            row["batch_size"] or 0)  # fmt: skip
