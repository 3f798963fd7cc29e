"""Run folders written by earlier versions load for ever (ux.md section 8, no. 13)."""

import csv
import json
import shutil
from pathlib import Path

import pytest

import analysis
from harness.core.errors import HarnessError
from harness.core.schema import CELLS, SCHEMA_VERSION

RUNS = Path(__file__).parents[1] / "fixtures" / "runs"


@pytest.mark.parametrize("folder", sorted(RUNS.glob("schema*")), ids=lambda path: path.name)
def test_a_golden_run_loads(folder: Path) -> None:
    """All columns of today are there; those of later versions are empty; figures are readable."""
    cells = analysis.load(folder).cells
    assert set(cells.columns) >= {column.name for column in CELLS}
    assert list(cells["method"]) == ["independent", "mas:splits=2"]
    assert list(cells["groups"]) == ["s|d|n|k|t", "sdt|nk"]
    assert cells["total_loss"].notna().all()
    version = json.loads((folder / "manifest.json").read_text())["schema_version"]
    for column in CELLS:
        if column.since > version:
            values = cells[column.name]
            assert (values.isna() | (values.astype(object) == "")).all(), column.name


def test_the_golden_run_of_version_1_says_what_it_said() -> None:
    """Numbers as they stand in its own text, read without the loader."""
    cells = analysis.load(RUNS / "schema1").cells
    with (RUNS / "schema1" / "cells.csv").open() as stream:
        written = list(csv.DictReader(stream))
    for text, (_, row) in zip(written, cells.iterrows(), strict=True):
        for name in ("total_loss", "energy_j", "time_s", "energy_error_j"):
            assert float(text[name]) == row[name]


def test_a_newer_run_asks_for_a_newer_tool(tmp_path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(RUNS / "schema1", folder)
    file = folder / "manifest.json"
    facts = json.loads(file.read_text())
    file.write_text(json.dumps({**facts, "schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(HarnessError, match="Update the tool"):
        analysis.load(folder)
