"""A run that contradicts its own files is refused; if it is told, every caption says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analysis.report import main, write_report
from harness.core.errors import HarnessError

GOLDEN = Path(__file__).parents[2] / "fixtures" / "runs" / "schema2"


@pytest.fixture
def bent(tmp_path):
    """Return a copy of a real run with the first cell's total loss lowered by 0.5."""
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "bent"))
    path = folder / "cells.csv"
    text = path.read_text(encoding="utf-8")
    assert "5.3945670922597255" in text
    path.write_text(text.replace("5.3945670922597255", "4.8945670922597255"), encoding="utf-8")
    return folder


def test_the_report_refuses_and_names_what_does_not_agree(bent, capsys):
    """Nothing is written; the cell, both numbers and the way on are told."""
    with pytest.raises(HarnessError, match=r"total_loss is 4\.89457 in cells\.csv"):
        write_report([bent])
    assert not (bent / "report").exists()
    assert main([str(bent)]) == 7
    assert "--allow-damaged" in capsys.readouterr().err


@pytest.mark.whole
def test_what_is_reported_all_the_same_says_so_in_every_caption(bent):
    """Tables as Markdown, LaTeX and captions, and every caption and verdict of the page."""
    paths = write_report([bent], allow_damaged=True)
    words = "DAMAGED, not as written or contradicting itself: bent (independent-s0-r0: total"
    tables = [path for path in paths.tables if path.suffix == ".md"]
    (captions,) = [path for path in paths.tables if path.name == "captions.tex"]
    assert len(tables) > 3
    assert all(words in path.read_text(encoding="utf-8") for path in tables)
    assert all("DAMAGED" in line for line in captions.read_text(encoding="utf-8").splitlines())
    page = paths.page.read_text(encoding="utf-8")
    figures = sum(path.suffix == ".png" for path in paths.figures)
    assert page.count("DAMAGED") >= figures + len(tables) + 1
    assert "--allow-damaged" in page
