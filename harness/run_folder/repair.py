"""Bring a run folder that was broken off back to what its finished cells left.

A torn last line is what a power cut does to a file that is appended to, and is cut off. Anything
else that is not as it was written is damage, which nothing here covers up.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import is_safe_name, read_bytes
from harness.core.schema import CELLS, COMPONENTS, DEVICES, Column
from harness.run_folder.checkpoints import SUFFIX, CellCheckpoints
from harness.run_folder.results import TABLES, storage_errors, write_atomically

RESTORE = "Restore the file from a copy, or start anew with --fresh."
FINISHED = ("done", "failed")
UNFINISHED = ("interrupted",)

Row = dict[str, object]


def read_events(folder: Path) -> list[Mapping[str, Any]]:
    """Return the event log, and cut off its last line if that is torn.

    Raises:
        DamagedRunError: if another line is not JSON.
    """
    path = folder / "events.jsonl"
    events = []
    for number, line in enumerate(_whole_lines(path), 1):
        try:
            event = json.loads(line)
            _ = (float(event["t_s"]), event["event"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise DamagedRunError(f"{path}, line {number}: is no event", RESTORE) from None
        events.append(event)
    return events


def repair_tables(folder: Path) -> list[Row]:
    """Drop from all tables what belongs to unfinished cells; return the rows of finished ones.

    Raises:
        DamagedRunError: naming file and line that are not as they were written.
    """
    rows = _read_rows(folder / "cells.csv", CELLS)
    for number, row in enumerate(rows, 2):
        if row["status"] not in (*FINISHED, *UNFINISHED):
            where = f"{folder / 'cells.csv'}, record {number}"
            raise DamagedRunError(f"{where}: '{row['status']}' is no status", RESTORE)
        if not is_safe_name(row["cell"]):
            where = f"{folder / 'cells.csv'}, record {number}"
            raise DamagedRunError(f"{where}: {row['cell']!r} cannot be a cell's name", RESTORE)
    finished = [row for row in rows if row["status"] in FINISHED]
    names = {str(row["cell"]) for row in finished}
    for table in ("phases", "metrics", "work"):
        columns = TABLES[table]
        _keep_rows(folder / f"{table}.csv", columns, names)
    for table, columns in (("devices", DEVICES), ("components", COMPONENTS)):
        if (folder / f"{table}.csv").exists():
            _keep_rows(folder / f"{table}.csv", columns, names)
    for name in names:
        CellCheckpoints(folder / "checkpoints" / (name + SUFFIX)).remove()
    with storage_errors(folder):
        for litter in folder.rglob("*.part"):
            litter.unlink()
    return finished


def _whole_lines(path: Path) -> list[bytes]:
    """Return the lines that end; cut off a last one that does not."""
    content = _content(path)
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with storage_errors(path), path.open("r+b") as stream:
            stream.truncate(whole)
    return content[:whole].splitlines()


def _content(path: Path) -> bytes:
    return read_bytes(path) if os.path.lexists(path) else b""


def _records(path: Path, columns: Sequence[Column]) -> list[list[str]]:
    """Return the records below the header, each with as many fields as there are columns."""
    lines = _whole_lines(path)
    names = [column.name for column in columns]
    try:
        text = b"\n".join(lines).decode()
        records = list(csv.reader(io.StringIO(text), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedRunError(f"{path}: is no table: {error}", RESTORE) from None
    if not records or records[0] != names:
        raise DamagedRunError(f"{path}, line 1: is not the header of {path.stem}", RESTORE)
    for number, record in enumerate(records, 1):
        if len(record) != len(names):
            where = f"{path}, record {number}"
            raise DamagedRunError(
                f"{where}: has {len(record)} fields, expected {len(names)}", RESTORE
            )
    return records[1:]


def _keep_rows(path: Path, columns: Sequence[Column], cells: Collection[str]) -> None:
    """Keep rows of these cells and of the run as a whole."""
    records = _records(path, columns)
    at = [column.name for column in columns].index("cell")
    kept = [record for record in records if record[at] in cells or not record[at]]
    if len(kept) == len(records):
        return
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    writer.writerows(kept)
    write_atomically(path, stream.getvalue().encode())


def _read_rows(path: Path, columns: Sequence[Column]) -> list[Row]:
    rows = []
    for number, record in enumerate(_records(path, columns), 2):
        where = f"{path}, record {number}"
        pairs = zip(columns, record, strict=True)
        rows.append({column.name: _typed(where, column, text) for column, text in pairs})
    return rows


def _typed(where: str, column: Column, text: str) -> object:
    try:
        return column.value(text)
    except ValueError:
        where = f"{where}, column {column.name}"
        raise DamagedRunError(f"{where}: '{text}' is no {column.type}", RESTORE) from None
