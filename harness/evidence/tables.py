"""Read the tables of a run row by row, typed by the schema; whatever is wrong with one is named."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.clean_text import clean
from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import (
    MOST_STREAMED_BYTES,
    RESTORE,
    open_file,
    read_bytes,
    whole_lines,
)
from harness.core.schema import TRACE, Column

MOST_TRACE_BYTES = 256 << 20
"""Of a trace unpacked: ten samples a second of five rails fill it in a day."""

Row = Mapping[str, Any]
"""One row by the schema: None where the file has nothing, "" for empty text."""


@dataclass(frozen=True)
class CsvTable:
    """Hold one table: its rows, whether its last line is torn, columns that the schema lacks.

    Rows of a large table are read anew each time they are gone through.
    """

    rows: Collection[Row]
    torn: bool = False
    unknown: Sequence[str] = ()


def read_table(path: Path, columns: Sequence[Column], version: int) -> CsvTable:
    """Read a CSV file by the schema of its version; a last line that does not end is left out.

    Raises:
        DamagedRunError: naming file, record and column that are not as they were written.
    """
    return parse_table(path, read_bytes(path), columns, version)


def stream_table(
    path: Path,
    columns: Sequence[Column],
    version: int,
    look: Callable[[Row], object] = bool,
) -> CsvTable:
    """Go through a CSV file of any size row by row; nothing but the row at hand is kept.

    `look` is called with every row.

    Raises:
        DamagedRunError: as `read_table`, now or when the rows are gone through.
    """
    rows = StreamedRows(path, tuple(columns), version, look)
    with open_file(path, MOST_STREAMED_BYTES) as stream:
        stream.seek(-1, io.SEEK_END)
        torn = stream.read(1) != b"\n"
    return CsvTable(rows, torn, rows.unknown)


def streamed_trace(path: Path, version: int) -> Iterator[Row]:
    """Yield the samples of a packed trace, one row at a time.

    Raises:
        DamagedRunError: if it is missing, damaged or larger than any trace this program writes.
    """
    with open_file(path) as packed, gzip.GzipFile(fileobj=packed) as stream:
        lines = _bounded(path, whole_lines(path, stream))
        yield from _records(path, lines, TRACE, version)[1]


def _bounded(path: Path, lines: Iterator[bytes]) -> Iterator[str]:
    seen = 0
    for line in lines:
        seen += len(line)
        if seen > MOST_TRACE_BYTES:
            raise DamagedRunError(f"{path}: unpacks to more than {MOST_TRACE_BYTES} bytes", RESTORE)
        yield _decoded(path, line)


class StreamedRows(Collection[Row]):
    """Read the rows of a table from the disk whenever they are gone through."""

    def __init__(
        self,
        path: Path,
        columns: Sequence[Column],
        version: int,
        look: Callable[[Row], object] = bool,
    ) -> None:
        """Go through the file once, so that what is wrong with it is known at once.

        Raises:
            DamagedRunError: naming it.
        """
        self._path, self._columns, self._version = path, columns, version
        self.unknown: Sequence[str] = ()
        self._count = 0
        for row in self:
            look(row)
            self._count += 1

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row: object) -> bool:
        return any(row == own for own in self)

    def __iter__(self) -> Iterator[Row]:
        with open_file(self._path, MOST_STREAMED_BYTES) as stream:
            lines = (_decoded(self._path, line) for line in whole_lines(self._path, stream))
            self.unknown, rows = _records(self._path, lines, self._columns, self._version)
            yield from rows


def parse_table(path: Path, content: bytes, columns: Sequence[Column], version: int) -> CsvTable:
    """Read the content of a CSV file; `path` is what errors call it.

    Raises:
        DamagedRunError: as `read_table`.
    """
    whole = content.rfind(b"\n") + 1
    text = io.StringIO(_decoded(path, content[:whole]), newline="")
    unknown, rows = _records(path, text, columns, version)
    return CsvTable(list(rows), whole < len(content), unknown)


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DamagedRunError(f"{path}: is no table: {error}", RESTORE) from None


def _records(
    path: Path, lines: Iterable[str], columns: Sequence[Column], version: int
) -> tuple[Sequence[str], Iterator[Row]]:
    """Return what the header has too much, and the rows below it, read as they are asked for."""
    reader = csv.reader(lines, strict=True)
    header = next(_sound(path, reader), [])
    missing = [c.name for c in columns if c.since <= version and c.name not in header]
    if missing:
        raise DamagedRunError(f"{path}, line 1: lacks the column {', '.join(missing)}", RESTORE)
    known = {column.name for column in columns}
    unknown = [clean(name[:40]) for name in header if name not in known]
    return unknown, _rows(path, header, _sound(path, reader), columns)


def _sound(path: Path, records: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from records
    except csv.Error as error:
        raise DamagedRunError(f"{path}: is no table: {error}", RESTORE) from None


def _rows(
    path: Path, header: Sequence[str], records: Iterator[list[str]], columns: Sequence[Column]
) -> Iterator[Row]:
    """Yield rows; where each column stands is found once, as files have millions of rows."""
    places = {name: place for place, name in enumerate(header)}
    readers: list[tuple[str, int | None, Callable[[str], object]]] = [
        (column.name, places.get(column.name), column.value) for column in columns
    ]
    empty = {column.name: column.value("") for column in columns}
    for number, record in enumerate(records, 2):
        if len(record) != len(header):
            raise DamagedRunError(
                f"{path}, record {number}: has {len(record)} fields, expected {len(header)}",
                RESTORE,
            )
        try:
            row = {
                name: empty[name] if place is None else read(record[place])
                for name, place, read in readers
            }
        except ValueError:
            _refuse(f"{path}, record {number}", record, places, columns)
            raise
        yield row


def _refuse(
    where: str, record: Sequence[str], places: Mapping[str, int], columns: Sequence[Column]
) -> None:
    """Name the first field of a record that is not of its column's type."""
    for column in columns:
        if column.name in places:
            _typed(where, column, record[places[column.name]])


def _typed(where: str, column: Column, text: str) -> object:
    try:
        return column.value(text)
    except ValueError:
        raise DamagedRunError(
            f"{where}, column {column.name}: '{clean(text[:40])}' is no {column.type}", RESTORE
        ) from None
