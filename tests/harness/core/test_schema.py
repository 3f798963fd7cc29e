"""Check that result files only ever grow, so that old runs stay readable."""

import pytest

from analysis.core.reading import read_table
from harness.core.schema import CELLS, FILES, OLDEST_SCHEMA_VERSION, SCHEMA_VERSION, Column
from harness.run_folder.results import csv_text
from models.multitask.measures import BY_NAME
from models.multitask.measures import MEASURES as TASK_MEASURES
from models.multitask.tasks import TASKS


@pytest.mark.parametrize("name", FILES)
def test_later_columns_stand_at_the_end(name: str) -> None:
    """Columns keep their order: those of a later version come after those of an earlier one."""
    versions = [column.since for column in FILES[name]]

    assert versions == sorted(versions)
    assert set(versions) <= set(range(OLDEST_SCHEMA_VERSION, SCHEMA_VERSION + 1))


def test_a_table_of_the_first_version_reads_with_empty_new_columns(tmp_path) -> None:
    """Columns that did not exist yet read as missing values, in the order of the schema."""
    path = tmp_path / "cells.csv"
    first = [column for column in CELLS if column.since == 1]
    path.write_text(csv_text(first, [{"run_id": "old", "total_loss": 3.5}]), encoding="utf-8")

    frame, notes = read_table(path, CELLS)

    assert list(frame.columns) == [column.name for column in CELLS]
    assert frame["total_loss"].tolist() == [3.5]
    later = [column for column in CELLS if column.since > 1]
    assert later
    assert frame[[c.name for c in later if c.type != "str"]].isna().all(axis=None)
    assert notes == []


def test_every_task_has_measures_of_one_meaning_each() -> None:
    """The table covers all tasks; a name means the same wherever it stands, and no loss has it."""
    assert TASK_MEASURES.keys() == TASKS.keys()
    for measures in TASK_MEASURES.values():
        assert measures
        assert all(BY_NAME[m.name] is m and m.better in ("lower", "higher") for m in measures)
    assert not any(name.endswith("_loss") or name.startswith("unseen_") for name in BY_NAME)


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        (Column("time_s", "float", "s", ""), "1e10", "1.1e10"),
        (Column("t_c", "float", "°C", ""), "-1e4", "-1e5"),
        (Column("power_w", "float", "W", ""), "1e9", "2e9"),
        (Column("x", "float", "", ""), "1e100", "1e101"),
        (Column("count", "int", "", ""), str(2**53), str(2**53 + 1)),
        (Column("reason", "str", "", ""), "x" * 20_000, "x" * 20_001),
        (Column("cell", "str", "", ""), "x" * 255, "x" * 256),
        (Column("flag", "bool", "", ""), "true", "True"),
        (Column("x", "float", "", ""), "1.5", "1_5"),
        (Column("x", "int", "", ""), "15", "１５"),
    ],
)
def test_numbers_and_texts_beyond_what_can_be_meant_are_refused(column, good, bad) -> None:
    """So that sums of squares are numbers, and a name of 100,000 letters stalls no table."""
    assert column.value(good) is not None
    with pytest.raises(ValueError, match=r".+"):
        column.value(bad)
