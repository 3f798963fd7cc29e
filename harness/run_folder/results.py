"""Write a run folder: CSV files by the schema, JSON, weights; never half a file.

New files are written under a temporary name, synced and renamed. Rows are appended in one piece and
taken back if they do not fit, so that a full disk leaves what was there readable.
"""

from __future__ import annotations

import csv
import errno
import gzip
import io
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness.core.disk import sync_folder
from harness.core.errors import DiskFullError, StorageError
from harness.core.guarded_folder import SAFE, folder_below
from harness.core.schema import CELLS, METRICS, PHASE_ROWS, WORK, Column

Row = Mapping[str, object]

UNNAMED = ".unfinished-run-"
"""Begins the name of a run folder that is still being made, and of nothing else."""


TABLES: Mapping[str, Sequence[Column]] = {
    "cells": CELLS, "metrics": METRICS, "phases": PHASE_ROWS, "work": WORK,
}  # fmt: skip
"""Tables that every run has from its first moment on."""


class RunFolder:
    """Own the files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls, parent: Path, run_id: str, manifest: Mapping[str, Any] | None = None
    ) -> RunFolder:
        """Make a new folder with the headers of its tables, and with a manifest if one is given.

        It gets its name only when all is in it. What an earlier attempt left half made is removed:
        the caller holds the lock of the parent (`folder_lock`), so nobody is making it now.

        Raises:
            StorageError: if the folder cannot be made or written to, or there is one of that name.
        """
        path, unnamed = parent / run_id, parent / f"{UNNAMED}{run_id}"
        with storage_errors(path):
            parent.mkdir(parents=True, exist_ok=True)
            for litter in parent.glob(f"{UNNAMED}*"):
                if litter.is_dir() and not litter.is_symlink():
                    shutil.rmtree(litter)
            unnamed.mkdir()

        def new_file(name: str, text: str) -> None:
            write_atomically(unnamed / name, text.encode(), names_too=False)

        for name, columns in TABLES.items():
            new_file(f"{name}.csv", csv_text(columns, []))
        new_file("events.jsonl", "")
        if manifest is not None:
            new_file("manifest.json", json_text(manifest, 2) + "\n")
        with storage_errors(path):
            sync_folder(unnamed)
            if path.exists():
                shutil.rmtree(unnamed)
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            unnamed.rename(path)
            sync_folder(parent)
        return cls(path)

    def append(self, table: str, columns: Sequence[Column], rows: Iterable[Row]) -> None:
        """Append rows to a table, all or none."""
        append_durably(self.path / f"{table}.csv", csv_text(columns, rows, header=False).encode())

    def event(self, **values: object) -> None:
        """Append one line to the event log."""
        append_durably(self.path / "events.jsonl", (json_text(values) + "\n").encode())

    def manifest(self, values: Mapping[str, Any]) -> None:
        """Write the manifest anew."""
        self.text("manifest.json", json_text(values, 2) + "\n")

    def text(self, name: str, text: str) -> None:
        """Write a text file below the folder."""
        self.binary(name, text.encode())

    def compressed(self, name: str, text: str) -> None:
        """Write a gzip file below the folder, the same bytes for the same text."""
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as stream:
            stream.write(text.encode())
        self.binary(name, buffer.getvalue())

    def binary(self, name: str, content: bytes) -> None:
        """Write a file of bytes below the folder."""
        with storage_errors(self.path / name):
            folder_below(self.path, Path(name).parent)
        write_atomically(self.path / name, content)


def csv_text(columns: Sequence[Column], rows: Iterable[Row], *, header: bool = True) -> str:
    """Return CSV by the schema: fixed column order, empty for None, full precision floats.

    Raises:
        KeyError: if a row has a column that the schema does not know.
    """
    names = [column.name for column in columns]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    if header:
        writer.writerow(names)
    for row in rows:
        unknown = set(row) - set(names)
        if unknown:
            raise KeyError(f"columns {sorted(unknown)} are not in the schema")
        writer.writerow([_cell(row.get(name)) for name in names])
    return stream.getvalue()


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(float(value))
    return str(value)


def json_text(values: Mapping[str, object], indent: int | None = None) -> str:
    """Return JSON in which NaN and infinity cannot occur."""
    return json.dumps(values, allow_nan=False, indent=indent, sort_keys=False)


def write_atomically(path: Path, content: bytes, *, names_too: bool = True) -> None:
    """Write a file under a temporary name, sync it, rename it into place and sync the folder.

    A link of either name is replaced, not followed. The folder must be there; it need not be synced
    (`names_too`) if another file is written to it right afterwards.

    Raises:
        StorageError: if that fails; the file is then as it was before.
    """
    temporary = path.with_name(path.name + ".part")
    with storage_errors(path):
        temporary.unlink(missing_ok=True)
        try:
            with temporary.open("xb") as stream:
                stream.write(content)
                _sync(stream)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        if names_too:
            sync_folder(path.parent)


def append_durably(path: Path, content: bytes, *, new: bool = False) -> None:
    """Append to a file and sync it; what does not fit is taken back.

    Only a `new` one is made: of one that is gone the beginning would be missing.

    Raises:
        StorageError: if that fails; the file is then as it was before.
    """
    with storage_errors(path), _appending(path, new=new) as stream:
        before = stream.seek(0, os.SEEK_END)
        try:
            written = stream.write(content)
            if written != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            _sync(stream)
        except OSError:
            stream.truncate(before)
            raise


def _appending(path: Path, *, new: bool) -> IO[bytes]:
    made = os.O_CREAT if new else 0
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | made | SAFE, 0o666)
    return open(handle, "ab", buffering=0)  # noqa: PTH123 - a handle has no path


def _sync(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into an error with a remedy."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (DiskFullError if full else StorageError)(
            f"cannot write {path}: {os.strerror(error.errno) if error.errno else error}",
            _REMEDIES.get(error.errno or 0, "Choose another folder with --out DIR."),
        ) from error


_REMEDIES = {
    errno.ENOSPC: "The disk is full: free some space or choose another folder with --out DIR.",
    errno.EDQUOT: "The disk quota is used up: free some space or choose --out DIR elsewhere.",
    errno.EACCES: "No permission: choose a folder of your own with --out DIR.",
    errno.EROFS: "The file system is read-only: choose another folder with --out DIR.",
    errno.EEXIST: "A run of the same second has this name: start again.",
}
