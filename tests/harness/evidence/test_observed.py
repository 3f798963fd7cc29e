"""Every column of every file is observed, or a changed value of it is named by check.

The runs are real ones of a minute, kept under tests/fixtures/runs without checksums, so that
nothing but recomputing can name what was changed.
"""

import csv
import gzip
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.schema import COST_PHASES, FILES, Column
from harness.evidence.derived import derived
from harness.evidence.judging import judge
from harness.evidence.observed import OBSERVED
from harness.evidence.reading import read_run

RUNS = Path(__file__).parents[2] / "fixtures" / "runs"
KEPT = ("counter", "modelled", "fleet")
SHARING = "mas-splits-2-affinity-linear-s0-r0"
EMPTY = (
    "energy_reason", "energy_flags", "time_model_s", "time_model_per_image_s", "split_sure",
)  # fmt: skip
"""Columns that stand only where joules are amiss, or of another device: given one, it is named."""

NAMED_BY = {
    "phases.csv": "phases",
    "work.csv": "work.csv",
    "devices.csv": "its devices",
    "affinity/<cell>_clients.csv": "affinity/",
}
"""File → how it is called where the column that contradicts it is another's."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return copies of the runs; weights are holes of the size that they had."""
    found = {}
    for name in KEPT:
        folder = Path(shutil.copytree(RUNS / name, tmp_path_factory.mktemp(name) / name))
        for path, size in json.loads((folder / "sizes.json").read_text()).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
            os.truncate(folder / path, size)
        (folder / "sizes.json").unlink()
        for file, columns in FILES.items():
            for table in folder.glob(file.replace("<cell>", "*")):
                complete(table, [column.name for column in columns])
        found[name] = folder
    return found


def complete(path: Path, names: list[str]) -> None:
    """Add the columns that came since a run was kept, all empty."""
    rows = read(path)
    if rows and set(names) - rows[0].keys():
        write(path, [{**dict.fromkeys(names, ""), **row} for row in rows])


def read(path: Path) -> list[dict[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as stream:
        return list(csv.DictReader(stream))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def changed(column: Column, text: str) -> str:
    """Return another value of a column's type, of the size a hand might give it."""
    if not text and column.type == "float":
        return "1.5"
    if column.type == "bool":
        return {"true": "false", "false": "true"}[text]
    if column.type == "int":
        return str(int(text) + 1)
    return repr(1.5 * float(text) + 0.25) if column.type == "float" else f"{text}x"


def is_charged(name: str, row: dict[str, str]) -> bool:
    """Say whether a row counts: what a device does beside its clients' training is in no sum."""
    if name == "components.csv":  # samples of two cells stand in one trace where jobs are shared
        return row["cell"] != SHARING
    if name == "phases.csv":  # of what no method is charged for the name is in no sum
        return row["phase"] in COST_PHASES
    return name != "devices.csv" or bool(row["client"])


def places(folders: dict[str, Path], name: str, column: str) -> Iterator[tuple[Path, Path, int]]:
    """Yield run, file and row of every value of a column, the middle of each file first."""
    for folder in folders.values():
        for path in sorted(folder.glob(name.replace("<cell>", "*"))):
            rows = read(path)
            filled = [n for n, row in enumerate(rows) if row.get(column) and is_charged(name, row)]
            if filled:
                yield folder, path, filled[len(filled) // 2]


DERIVED = [
    (name, column)
    for name, columns in FILES.items()
    for column in columns
    if column.name not in OBSERVED.get(name, ())
]


def test_every_file_and_no_other_column_is_spoken_of() -> None:
    assert OBSERVED.keys() == FILES.keys()
    for name, columns in FILES.items():
        assert OBSERVED[name] <= {column.name for column in columns}, name


@pytest.mark.parametrize("name", KEPT)
def test_the_runs_themselves_agree(kept: dict[str, Path], name: str) -> None:
    assert [f.text for f in derived(read_run(kept[name]))] == []


@pytest.mark.parametrize(
    ("name", "column"), DERIVED, ids=[f"{name}:{column.name}" for name, column in DERIVED]
)
def test_a_changed_value_is_named(kept: dict[str, Path], name: str, column: Column) -> None:
    """In one of the runs at least, as not every meter shows everything in every window."""
    seen = list(places(kept, name, column.name))
    if not seen and column.name in EMPTY:
        seen = [(f, p, n) for f, p, n in places(kept, name, "energy_j")]
    assert seen, f"no run kept has a value of {column.name}"
    for folder, path, number in seen:
        before = path.read_bytes()
        rows = read(path)
        rows[number][column.name] = changed(column, rows[number][column.name])
        write(path, rows)
        try:
            found = [f.text for f in judge(folder).findings if f.level == "damaged"]
        finally:
            path.write_bytes(before)
        words = (column.name, NAMED_BY.get(name, column.name))
        if any(word in text for text in found for word in words):
            return
    pytest.fail(f"{name}: a changed {column.name} is not named; found {found[:3]}")
