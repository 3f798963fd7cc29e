"""A table of any size is read row by row: what is wrong with it is named, and memory is bounded."""

import gzip
import tracemalloc
from pathlib import Path

import pytest

from harness.core import guarded_folder
from harness.core.errors import DamagedRunError
from harness.core.schema import METRICS, SCHEMA_VERSION
from harness.evidence import reading, tables
from harness.evidence.derived import derived
from harness.evidence.judging import judge
from harness.evidence.reading import read_run
from harness.evidence.tables import read_table, stream_table, streamed_trace
from harness.run_folder.results import csv_text

HEAD = ",".join(column.name for column in METRICS)


def table(path: Path, rows: int, ending: str = "\n") -> Path:
    """Write values of many rounds, all but the last line's end."""
    lines = [f"a-run,c,{n},sd,s,train,train_loss,{n / 7!r}," for n in range(rows)]
    path.write_text("\n".join([HEAD, *lines]) + ending)
    return path


@pytest.mark.parametrize("block", [1, 7, 1 << 16])
@pytest.mark.parametrize("ending", ["\n", "", "\na-run,c"])
def test_rows_are_those_that_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, ending: str
) -> None:
    monkeypatch.setattr(guarded_folder, "BLOCK_BYTES", block)
    path = table(tmp_path / "metrics.csv", 30, ending)
    whole = read_table(path, METRICS, SCHEMA_VERSION)
    streamed = stream_table(path, METRICS, SCHEMA_VERSION)
    assert list(streamed.rows) == list(whole.rows) == list(streamed.rows)
    assert len(streamed.rows) == len(whole.rows)
    assert (streamed.torn, streamed.unknown) == (whole.torn, whole.unknown)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"{HEAD}\na-run,c,x,sd,s,train,train_loss,1.0,\n",
            "record 2, column round: 'x' is no int",
        ),
        (f"{HEAD}\na-run,c\n", "record 2: has 2 fields, expected 9"),
        ("run_id,cell\n", "lacks the column round"),
        (f'{HEAD}\na-run,"c\n', "is no table"),
        (f"{HEAD}\n" + "x" * (2 << 20), "has a line of more than"),
    ],
)
def test_what_is_wrong_is_named_alike(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(DamagedRunError, match=said):
        stream_table(path, METRICS, SCHEMA_VERSION)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").symlink_to(table(tmp_path / "other", 3))
    with pytest.raises(DamagedRunError, match="is a link"):
        stream_table(tmp_path / "metrics.csv", METRICS, SCHEMA_VERSION)


def test_a_trace_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST_TRACE_BYTES", 1_000)
    path = tmp_path / "c.csv.gz"
    path.write_bytes(gzip.compress(b"t_s,rail,power_w,energy_j\n" + b"0.0,in,1.0,\n" * 1_000))
    with pytest.raises(DamagedRunError, match="unpacks to more than 1000 bytes"):
        list(streamed_trace(path, SCHEMA_VERSION))


def test_many_values_are_judged_in_little_memory(draft, monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 rows would take 4 MB as rows; read one by one they take next to nothing."""
    monkeypatch.setattr(reading, "STREAMED_FROM_BYTES", 1)
    begun = draft(config={"methods": ["independent"], "seeds": [0], "repeats": 1}).fill()
    folder = begun.write()
    row = {"run_id": "a-run", "cell": begun.rows[0]["cell"], "job": "sdnkt", "task": "s",
           "phase": "train", "metric": "train_loss", "value": 1.0}  # fmt: skip
    own = csv_text(METRICS, [row | {"round": n} for n in range(5_000)], header=False)
    with (folder / "metrics.csv").open("a") as stream:
        stream.write(own)
    assert own.count("\n") == 5_000
    judge(folder)  # imports and caches are not what is measured
    tracemalloc.start()
    try:
        assert [f.text for f in derived(read_run(folder))] == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_500_000
