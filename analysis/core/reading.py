"""Read the tables of a run folder as typed frames; whatever is wrong with one is named.

A table is read once with the types of its columns, by the compiled reader; only a file that this
refuses is read again as text, to say which column is wrong.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import read_bytes, read_unpacked
from harness.core.schema import BOOLEANS, OLDEST_SCHEMA_VERSION, Column
from harness.evidence.tables import Row, parse_table

UNREADABLE = (
    ValueError, OverflowError, TypeError, OSError, EOFError, zlib.error, pd.errors.ParserError,
)  # fmt: skip
"""What a file that is torn, damaged or of another kind makes the readers raise."""


def read_table(path: Path, columns: Iterable[Column]) -> tuple[pd.DataFrame, list[str]]:
    """Read one CSV file as typed columns in the order of the schema.

    Returns:
        The frame, and notes on unknown columns and on values that are not finite.

    Raises:
        DamagedRunError: if the file or a column is missing or a value is not of its type.
    """
    if not path.is_file():
        raise DamagedRunError(f"{path}: missing", "Copy the whole run folder, or run it again.")
    wanted = list(columns)
    content = read_unpacked(path)
    frame = _read_typed(content, wanted) if content.endswith(b"\n") else None
    if frame is not None:
        return frame, []
    table = parse_table(path, content, wanted, OLDEST_SCHEMA_VERSION)
    notes = [f"{path.name}: unknown column {name} is not used." for name in table.unknown]
    if table.torn:
        notes.append(f"{path.name}: breaks off in its last line, which is left out.")
    rows = list(table.rows)
    notes += [note for column in wanted for note in _non_finite(path, column, rows)]
    return pd.DataFrame({c.name: _series(c, rows) for c in wanted}), notes


def _read_typed(content: bytes, columns: Sequence[Column]) -> pd.DataFrame | None:
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
            BytesIO(content), dtype=types, keep_default_na=False, na_values=empty, encoding="utf-8",
            **_exact_floats(),
        )  # fmt: skip
    except UNREADABLE:
        return None
    if list(frame.columns) != names or np.isinf(frame[numbers].to_numpy()).any():
        return None
    if any(set(frame[name].unique()) - {*BOOLEANS, ""} for name in flags):
        return None
    if any(_beyond(column, frame[column.name]).any() for column in columns):
        return None
    for name in flags:
        frame[name] = frame[name].map({**BOOLEANS, "": pd.NA}).astype("boolean")
    typed: pd.DataFrame = frame.astype(dict.fromkeys(text, object))
    return typed


def _beyond(column: Column, values: pd.Series[Any]) -> pd.Series[bool]:
    """Tell which values no run writes: too large, too long, or with control characters in them."""
    if column.type == "str":
        return ~values.map(str.isprintable) | (values.str.len() > column.most)
    if column.type == "bool":
        return pd.Series(False, index=values.index)
    numbers = values.astype("float64")
    return (numbers.abs() > column.most) & np.isfinite(numbers)


def _series(column: Column, rows: Sequence[Row]) -> pd.Series[Any]:
    kinds: dict[str, Any] = {"float": "float64", "int": "Int64", "bool": "boolean", "str": object}
    missing = math.nan if column.type == "float" else pd.NA
    values = [missing if row[column.name] is None else row[column.name] for row in rows]
    return pd.Series(values, dtype=kinds[column.type])


def _non_finite(path: Path, column: Column, rows: Sequence[Row]) -> list[str]:
    """Name a value written as nan or inf, which is not the same as a missing one."""
    if column.type != "float":
        return []
    bad = [
        row for row in rows if (x := row[column.name]) is not None and not math.isfinite(float(x))
    ]
    if not bad:
        return []
    places = ", ".join(dict.fromkeys(str(row["cell"]) for row in bad if "cell" in row))
    where = places or "some rows"
    return [f"{path.name}: {column.name} is not a finite number for {where}; it is left out."]


def read_matrix(path: Path) -> pd.DataFrame:
    """Read a square matrix with task letters around it; lines that begin with # are comments."""
    try:
        text = read_bytes(path).decode()
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        frame = pd.read_csv(StringIO("\n".join(lines)), index_col=0).astype("float64")
    except UNREADABLE as error:
        raise DamagedRunError(
            f"{path}: is no matrix of numbers ({error})", "Restore the file from a copy."
        ) from error
    frame.index = pd.Index([str(name) for name in frame.index])
    frame.columns = pd.Index([str(name) for name in frame.columns])
    if list(frame.index) != list(frame.columns) or not len(frame):
        raise DamagedRunError(
            f"{path}: rows {list(frame.index)} and columns {list(frame.columns)} differ",
            "Restore the file from a copy; the matrix must be square.",
        )
    return frame


def _exact_floats() -> dict[str, Any]:
    """Return what makes pandas read floats to the last bit: since 3.1 it does so unasked."""
    version = tuple(int(part) for part in pd.__version__.split(".")[:2])
    return {} if version >= (3, 1) else {"float_precision": "round_trip"}
