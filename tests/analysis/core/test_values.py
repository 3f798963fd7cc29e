"""A report of very many values shows some rounds, says so, and takes bounded memory."""

import tracemalloc
from pathlib import Path

import pandas as pd
import pytest

from analysis.core import values
from analysis.core.reading import read_table
from analysis.core.values import read_values
from harness.core.errors import HarnessError
from harness.core.schema import METRICS

HEAD = ",".join(column.name for column in METRICS)


def write(folder: Path, rows: int, rounds: int) -> Path:
    path = folder / "metrics.csv"
    lines = [f"r,c,{n % rounds},sd,{'sd'[n % 2]},train,test_loss,{n / 7!r}," for n in range(rows)]
    path.write_text("\n".join([HEAD, *lines, "r,c,,,s,evaluate,mean_predictor_loss,1.5,"]) + "\n")
    return path


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "STREAMED_FROM_BYTES", 1)


@pytest.mark.usefixtures("streaming")
def test_a_table_within_the_limit_is_that_of_the_other_reader(tmp_path: Path) -> None:
    path = write(tmp_path, 50, 25)
    frame, notes = read_values(path)
    pd.testing.assert_frame_equal(frame, read_table(path, METRICS)[0])
    assert notes == []


@pytest.mark.usefixtures("streaming")
def test_of_more_rows_one_round_in_some_is_kept_and_the_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """101 rows of rounds 0 to 49, at most 20 kept: every sixth, and each task's first and last."""
    monkeypatch.setattr(values, "MOST_ROWS", 20)
    frame, notes = read_values(write(tmp_path, 100, 50))
    assert set(frame["round"].dropna()) == {*range(0, 50, 6), 0, 1, 48, 49}
    assert frame["round"].isna().sum() == 1
    assert notes == [
        "metrics.csv: has 101 rows; one round in 6 is shown, with the first and the last of each"
        " value."
    ]


@pytest.mark.usefixtures("streaming")
def test_rows_that_cannot_be_thinned_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "MOST_ROWS", 20)
    with pytest.raises(HarnessError, match="too few rounds"):
        read_values(write(tmp_path, 200, 1))


@pytest.mark.usefixtures("streaming")
def test_memory_does_not_grow_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "MOST_ROWS", 300)
    peaks = []
    for rows in (3_000, 6_000):
        path = write(tmp_path, rows, rows // 2)
        tracemalloc.start()
        try:
            frame, _ = read_values(path)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert len(frame) < 400
    assert peaks[1] < 1.2 * peaks[0] < 1_000_000
