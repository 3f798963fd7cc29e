"""Check that files are whole or absent, and say in the schema's form what they say."""

import csv
import errno
import gzip
import io
import os

import pytest

from harness.core.errors import StorageError
from harness.core.schema import CELLS, FILES, TRACE
from harness.run_folder import results
from harness.run_folder.results import UNNAMED, RunFolder, csv_text, json_text, write_atomically


def test_csv_follows_the_schema() -> None:
    """Columns in fixed order, floats in full, true/false, empty for None and NaN."""
    rows = [{"t_s": 0.1 + 0.2, "rail": "a,b", "power_w": None, "energy_j": float("nan")}]

    text = csv_text(TRACE, rows)

    assert text == 't_s,rail,power_w,energy_j\n0.30000000000000004,"a,b",,\n'
    assert csv_text(CELLS, [{"host_matches_device": True}], header=False).split(",")[3] == "true"


def test_a_column_unknown_to_the_schema_is_refused() -> None:
    """A misspelt column raises instead of vanishing."""
    with pytest.raises(KeyError, match="enrgy_j"):
        csv_text(TRACE, [{"enrgy_j": 1.0}])


def test_every_column_is_documented_once() -> None:
    """Names are unique in their file and each has a sentence of meaning."""
    for columns in FILES.values():
        assert len({c.name for c in columns}) == len(columns)
        assert all(c.meaning.endswith(".") for c in columns)


def test_a_new_folder_has_readable_tables(tmp_path) -> None:
    """Right after creation every table has its header; a second run of that name is refused."""
    folder = RunFolder.create(tmp_path / "results", "r1")
    with (folder.path / "cells.csv").open() as stream:
        assert next(csv.reader(stream)) == [c.name for c in CELLS]
    with pytest.raises(StorageError, match="r1"):
        RunFolder.create(tmp_path / "results", "r1")


class _Full:
    """A file that takes half of what it is given and then reports a full disk."""

    def __init__(self, stream: io.FileIO) -> None:
        self._stream = stream

    def write(self, content: bytes) -> int:
        self._stream.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stream.close()


def test_a_full_disk_leaves_tables_as_they_were(tmp_path, monkeypatch) -> None:
    """Rows that do not fit are taken back whole, and the error says what to do."""
    folder = RunFolder.create(tmp_path, "r")
    table = folder.path / "cells.csv"
    before = table.read_bytes()
    appending = results._appending
    monkeypatch.setattr(results, "_appending", lambda p, *, new: _Full(appending(p, new=new)))

    with pytest.raises(StorageError, match="free some space"):
        folder.append("cells", CELLS, [{"cell": "x" * 100}])

    monkeypatch.undo()
    assert table.read_bytes() == before


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch) -> None:
    """If syncing fails the old content stays and the temporary file is gone."""
    file = tmp_path / "manifest.json"
    write_atomically(file, b"old")

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(results.os, "fsync", fail)
    with pytest.raises(StorageError):
        write_atomically(file, b"new")

    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json"]
    assert file.read_bytes() == b"old"


def test_compressed_files_are_the_same_bytes_for_the_same_text(tmp_path) -> None:
    """No time stamp gets into a trace, so a rebuilt bundle compares equal."""
    folder = RunFolder.create(tmp_path, "r")
    folder.compressed("traces/a.csv.gz", "t\n1\n")
    folder.compressed("traces/b.csv.gz", "t\n1\n")

    first, second = ((folder.path / f"traces/{n}.csv.gz").read_bytes() for n in "ab")
    assert first == second
    assert gzip.decompress(first) == b"t\n1\n"


def test_json_never_holds_nan() -> None:
    """A value that JSON cannot hold is an error, not invalid JSON."""
    with pytest.raises(ValueError, match="JSON"):
        json_text({"x": float("nan")})


def test_no_permission_names_folder_and_remedy(tmp_path) -> None:
    """A path below a file cannot be made: the error names it and proposes another folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        RunFolder.create(tmp_path / "file", "r")


def test_what_others_leave_or_make_in_the_folder_of_results_is_left_alone(tmp_path) -> None:
    """Only what a run left half made is removed: not what a kill leaves of a page, nor a bundle
    that is being packed.
    """
    (tmp_path / ".new-x1y2z3").write_text("half a page")
    (tmp_path / ".new-bundle").mkdir()
    (tmp_path / f"{UNNAMED}older").mkdir()
    (tmp_path / f"{UNNAMED}no folder").write_text("somebody's")
    RunFolder.create(tmp_path, "r")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".new-bundle", ".new-x1y2z3", f"{UNNAMED}no folder", "r"]
