"""Read a square matrix of named tasks from a CSV file, and say exactly what is wrong with it."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from devices.plain_numbers import plain_float
from harness.core.errors import UsageError

Matrix = NDArray[np.float64]

EXAMPLE = "The form is: header 'task,s,d', then one row 's,0,0.1' per task; # begins a comment."


@dataclass(frozen=True)
class NamedMatrix:
    """Hold a matrix whose rows and columns are tasks in the order of `names`."""

    names: tuple[str, ...]
    values: Matrix


@dataclass(frozen=True)
class _Line:
    number: int
    cells: list[str]


def read_matrix(path: Path, *, with_diagonal: bool) -> NamedMatrix:
    """Read names from header and first column and the numbers between them.

    Rows may stand in any order. Without `with_diagonal` the diagonal may hold anything, as it is
    not used; it comes out as 0.

    Raises:
        UsageError: naming file, line and cell of the first thing that is wrong.
    """
    lines = _lines(path)
    if not lines:
        raise UsageError(f"{path} holds no matrix", EXAMPLE)
    names = _names(path, lines[0])
    values = np.zeros((len(names), len(names)))
    seen: set[str] = set()
    for line in lines[1:]:
        where = f"{path}, line {line.number}"
        row = _row_index(where, line, names, seen)
        for column, text in enumerate(line.cells[1:]):
            if row != column or with_diagonal:
                values[row, column] = _number(where, (names[row], names[column]), text)
    missing = [name for name in names if name not in seen]
    if missing:
        raise UsageError(f"{path} has no row for {', '.join(missing)}", EXAMPLE)
    return NamedMatrix(names, values)


def _lines(path: Path) -> list[_Line]:
    """Return the lines that hold anything but a comment, cut into cells."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read {path}: it is no UTF-8 text") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if content:
            try:
                cells = next(csv.reader([content], skipinitialspace=True, strict=True))
            except csv.Error as error:
                raise UsageError(f"{path}, line {number}: is no row: {error}") from None
            found.append(_Line(number, [cell.strip() for cell in cells]))
    return found


def _names(path: Path, header: _Line) -> tuple[str, ...]:
    names = tuple(header.cells[1:])
    where = f"{path}, line {header.number}"
    if not names or "" in names:
        raise UsageError(f"{where}: the header lacks a task name", EXAMPLE)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{where}: task '{twice[0]}' is named twice in the header", EXAMPLE)
    return names


def _row_index(where: str, line: _Line, names: Sequence[str], seen: set[str]) -> int:
    name = line.cells[0]
    if name not in names:
        raise UsageError(f"{where}: row '{name}' is none of the header's {', '.join(names)}")
    if name in seen:
        raise UsageError(f"{where}: row '{name}' is there twice")
    seen.add(name)
    if len(line.cells) != len(names) + 1:
        raise UsageError(
            f"{where}: row '{name}' has {len(line.cells) - 1} values, expected {len(names)}"
        )
    return names.index(name)


def _number(where: str, cell: tuple[str, str], text: str) -> float:
    try:
        value = plain_float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        row, column = cell
        raise UsageError(f"{where}: row '{row}', column '{column}': '{text}' is no finite number")
    return value
