"""The page on the library shows code that runs as it stands; columns say how they are shown."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from analysis.core.loading import load_run
from analysis.core.showing import shown
from harness.core.schema import CELLS, FILES

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"


def test_the_code_of_the_page_runs_as_it_stands(make_run, monkeypatch, capsys):
    """All blocks one after another, on a run called RUN."""
    folder = make_run(seeds=2, run_id="RUN")
    monkeypatch.chdir(folder.parent)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    out = capsys.readouterr().out
    assert "Run RUN: NVIDIA Jetson Nano" in out
    assert "time_s (s)" in out
    assert re.search(r"all-in-one +45\.90 ", out)
    assert "pareto " in out


def test_every_column_says_how_it_is_shown():
    """A number of any column can be shown in its format, and its header has the unit."""
    for columns in FILES.values():
        for column in columns:
            if column.type in ("int", "float"):
                assert column.show(12345 if column.type == "int" else 12345.678)
    by_name = {column.name: column for column in CELLS}
    assert by_name["time_s"].show(33.28251) == "33.28"
    assert by_name["peak_memory_bytes"].show(409_000_000) == "409,000,000"
    assert by_name["total_loss"].show(3.51549) == "3.5155"
    assert by_name["host_matches_device"].show(False) == "no"
    assert by_name["energy_j"].show(None) == ""


def test_frames_are_shown_with_units_and_without_nan(make_run):
    """A missing number is an empty field; columns of one's own stay as they are."""
    run = load_run(make_run(seeds=1, measured=False))
    frame = run.cells[["method", "time_s", "energy_j", "peak_memory_bytes"]].assign(mine=1.5)
    text = shown(frame)
    assert list(text.columns) == [
        "method", "time_s (s)", "energy_j (J)", "peak_memory_bytes (B)", "mine",
    ]  # fmt: skip
    assert text.iloc[1].tolist() == ["all-in-one", "45.00", "", "512,000,000", 1.5]
    assert shown(pd.DataFrame()).empty
