"""A damaged file costs what is drawn from it, is named, and never the whole report."""

from __future__ import annotations

import gzip

import pytest

from analysis.core.assembly import all_drawings, all_tables
from analysis.core.figures.drawing import Drawing, NotDrawn
from analysis.core.loading import load_run
from analysis.core.tables.formats import to_markdown
from analysis.core.tables.table import plain_number
from analysis.core.verdict import sentences
from harness.core.errors import HarnessError

CELL = "mas-splits-2-s0-r0"


def cut(path):
    """Leave the first bytes of a file, as a full disk does."""
    path.write_bytes(path.read_bytes()[:40])


def words_for_numbers(path):
    """Write a trace with text where numbers belong."""
    with gzip.open(path, "wt", encoding="utf-8") as handle:
        handle.write("t_s,rail,power_w,energy_j\n1.0,a,b,c\n")


def bytes_of_another_kind(path):
    """Write what is no text."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\xff\xfe\x00garbage")


@pytest.mark.parametrize(
    ("name", "damage", "title"),
    [
        (f"traces/{CELL}.csv.gz", cut, "Power over time"),
        (f"traces/{CELL}.csv.gz", words_for_numbers, "Power over time"),
        (f"traces/{CELL}.csv.gz", bytes_of_another_kind, "Power over time"),
        (f"conditions/{CELL}.csv", bytes_of_another_kind, "Power over time"),
        (f"affinity/{CELL}.csv", bytes_of_another_kind, "Affinity, mas:splits=2"),
        (f"affinity/{CELL}_rounds.csv", bytes_of_another_kind, "Affinity over rounds"),
    ],
)
def test_a_damaged_file_of_a_cell_is_named_and_the_rest_is_drawn(make_run, name, damage, title):
    """All other figures are there; the one that is not says which file is why."""
    folder = make_run(seeds=2)
    whole = {o.stem for o in all_drawings([load_run(folder)]) if isinstance(o, Drawing)}
    damage(folder / name)
    outcomes = all_drawings([load_run(folder)])
    (missing,) = [o for o in outcomes if isinstance(o, NotDrawn) and o.title == title]
    assert str(folder / name) in missing.reason
    drawn = {o.stem for o in outcomes if isinstance(o, Drawing)}
    assert len(whole - drawn) <= 1


def test_a_cell_that_stands_twice_is_refused(make_run):
    """Two rows of one name would count as repeats that nobody measured."""
    folder = make_run(seeds=1)
    path = folder / "cells.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n", encoding="utf-8")
    with pytest.raises(HarnessError, match=r"cells\.csv: holds independent-s0-r0 more than once"):
        load_run(folder)


def test_a_loss_that_diverged_stays_readable(make_run):
    """One of two seeds at 3e38: every table and the verdict are written, in few digits."""
    changes = {"all-in-one-s0-r0": {"total_loss": 3e38}}
    run = load_run(make_run(seeds=2, cell_changes=changes))
    for table in all_tables([run]):
        assert max(len(line) for line in to_markdown(table).splitlines()) < 2000
    assert any("all-in-one" in sentence for sentence in sentences(run))
    assert plain_number(2.4e9, 4) == "2.40e+09"
    assert plain_number(-123.456, 1) == "−123.5"
