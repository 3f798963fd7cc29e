"""Read a table of values of any size in bounded memory: of very many rows, those of some rounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.core.reading import read_table
from harness.core.errors import DamagedRunError
from harness.core.schema import METRICS, OLDEST_SCHEMA_VERSION
from harness.evidence.reading import STREAMED_FROM_BYTES
from harness.evidence.tables import Row, stream_table

MOST_ROWS = 300_000
"""Rows that are kept; of more every n-th round, with the first and the last of each value."""

KEY = ("cell", "job", "task", "phase", "metric")
Key = tuple[str, ...]


def read_values(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return metrics.csv as a typed frame, and notes on it.

    Raises:
        DamagedRunError: if it is missing or damaged, or has more rows of single rounds than are
            kept.
    """
    if not path.is_file() or path.stat().st_size < STREAMED_FROM_BYTES:
        return read_table(path, METRICS)
    ends = _Ends()
    table = stream_table(path, METRICS, OLDEST_SCHEMA_VERSION, ends.look)
    stride = math.ceil(len(table.rows) / MOST_ROWS)
    frame = _frame(path, _thinned(table.rows, ends, stride))
    notes = [f"{path.name}: unknown column {name} is not used." for name in table.unknown]
    if table.torn:
        notes.append(f"{path.name}: breaks off in its last line, which is left out.")
    if ends.strange:
        notes.append(f"{path.name}: {ends.strange} values are no finite numbers, and left out.")
    if stride > 1:
        notes.append(
            f"{path.name}: has {len(table.rows)} rows; one round in {stride} is shown, with the"
            " first and the last of each value."
        )
    return frame, notes


class _Ends:
    """Remember the first and the last round of every value."""

    def __init__(self) -> None:
        self.rounds: dict[Key, tuple[int, int]] = {}
        self.strange = 0

    def look(self, row: Row) -> None:
        """Take in a row.

        Raises:
            DamagedRunError: if there are more values than rows that are kept.
        """
        if row["value"] is not None and not math.isfinite(row["value"]):
            self.strange += 1
        if row["round"] is None:
            return
        key, done = _key(row), int(row["round"])
        first, last = self.rounds.get(key, (done, done))
        self.rounds[key] = min(first, done), max(last, done)
        if len(self.rounds) > MOST_ROWS:
            raise DamagedRunError(
                f"metrics.csv holds more than {MOST_ROWS} different values",
                "Restore it as harness.run wrote it.",
            )


def _key(row: Row) -> Key:
    return tuple(str(row[name]) for name in KEY)


def _thinned(rows: Any, ends: _Ends, stride: int) -> Iterator[Row]:  # noqa: ANN401 - rows
    for row in rows:
        done = row["round"]
        if stride == 1 or done is None or done % stride == 0 or done in ends.rounds[_key(row)]:
            yield row


def _frame(path: Path, rows: Iterator[Row]) -> pd.DataFrame:
    """Return a frame of the rows; texts that are alike are one object."""
    known: dict[str, str] = {}
    columns: dict[str, list[Any]] = {column.name: [] for column in METRICS}
    for number, row in enumerate(rows):
        if number > 3 * MOST_ROWS:
            raise DamagedRunError(
                f"{path}: holds more than {3 * MOST_ROWS} rows of too few rounds to show some",
                "Restore it as harness.run wrote it.",
            )
        for name, values in columns.items():
            value = row[name]
            values.append(known.setdefault(value, value) if isinstance(value, str) else value)
    return pd.DataFrame({c.name: _series(c.type, columns.pop(c.name)) for c in METRICS})


def _series(kind: str, values: Sequence[Any]) -> pd.Series[Any]:
    kinds: dict[str, Any] = {"float": "float64", "int": "Int64", "str": object}
    if kind == "float":
        return pd.Series([math.nan if x is None else x for x in values], dtype="float64")
    return pd.Series([pd.NA if x is None else x for x in values], dtype=kinds[kind])
