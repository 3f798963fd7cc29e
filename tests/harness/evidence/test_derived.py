"""Whatever a run derives from its own files is recomputed, and one changed number is named.

The runs are real ones, kept under tests/fixtures/runs, with traces of a simulated counter.
"""

import csv
import gzip
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.check import main
from harness.cli.compare import main as compare
from harness.core.errors import DamagedRunError
from harness.evidence.bundle import Packing, pack
from harness.evidence.derived import derived
from harness.evidence.judging import judge
from harness.evidence.reading import read_run

GOLDEN = Path(__file__).parents[2] / "fixtures" / "runs"
REFERENCE = Path(__file__).parents[3] / "results" / "reference"
Change = Callable[[str], str]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a copy of a real run of two methods that a test may spoil."""
    return Path(shutil.copytree(GOLDEN / "schema2", tmp_path / "run"))


def alter(folder: Path, name: str, where: dict[str, str], column: str, change: Change) -> None:
    """Change a column of the first row that has the values asked for."""
    path = folder / name
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as stream:
        rows = list(csv.DictReader(stream))
    row = next(r for r in rows if all(r[key] == value for key, value in where.items()))
    row[column] = change(row[column])
    with opener(path, "wt", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def times(factor: float) -> Change:
    """Return what multiplies a number written as text."""
    return lambda text: repr(float(text) * factor)


def texts(folder: Path) -> str:
    """Return what is found in one text."""
    return "\n".join(finding.text for finding in derived(read_run(folder)))


@pytest.mark.parametrize("folder", [*GOLDEN.glob("schema*"), *REFERENCE.glob("*/2*")], ids=str)
def test_real_runs_agree_with_themselves(folder: Path) -> None:
    assert texts(folder) == ""


MAS = {"method": "mas:splits=2"}
CELL = {"cell": "mas-splits-2-s0-r0"}


@pytest.mark.parametrize(
    ("name", "where", "column", "change", "said"),
    [
        ("cells.csv", MAS, "total_loss", lambda t: repr(float(t) - 0.5), "total_loss is"),
        ("cells.csv", MAS, "unseen_total_loss", times(0.9), "unseen_total_loss is"),
        ("cells.csv", MAS, "delta_mtl", times(2.0), "delta_mtl is"),
        ("cells.csv", MAS, "delta_metric", times(2.0), "delta_metric is"),
        ("cells.csv", MAS, "energy_model_j", times(0.5), "energy_model_j is"),
        ("cells.csv", MAS, "energy_j", times(0.99), "energy_j is"),
        ("cells.csv", MAS, "energy_net_j", lambda t: repr(float(t) - 1.0), "energy_net_j is"),
        ("cells.csv", MAS, "time_s", times(0.999), "time_s is"),
        ("metrics.csv", CELL | {"metric": "test_loss", "round": "3"}, "value", times(0.5),
         "total_loss is"),
        ("metrics.csv", CELL | {"metric": "miou", "round": "3"}, "value", times(2.0),
         "delta_metric is"),
        ("metrics.csv", CELL | {"metric": "test_loss", "round": "3"}, "metric", lambda _: "loss",
         "has no test loss of task"),
        ("phases.csv", CELL | {"phase": "train"}, "time_s", times(0.5), "from start to end"),
        ("phases.csv", CELL | {"phase": "train"}, "energy_model_j", times(0.5), "power model"),
        ("phases.csv", CELL | {"phase": "train"}, "cpu_s", times(0.5), "power model"),
        ("traces/mas-splits-2-s0-r0.csv.gz", {}, "energy_j", lambda _: "-9.5", "its samples"),
    ],
)  # fmt: skip
def test_one_changed_number_is_named(
    name: str, where: dict[str, str], column: str, change: Change, said: str, run: Path
) -> None:
    """Also where the sum was made to fit: what it is the sum of no longer does."""
    alter(run, name, where, column, change)
    found = texts(run)
    assert said in found
    assert main([str(run)]) == 7


def test_joules_changed_in_cells_and_phases_alike_contradict_the_samples(run: Path) -> None:
    """Half of every phase adds up to half in the cell, but the trace has the whole."""
    for name in ("cells.csv", "phases.csv"):
        path = run / name
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            row["energy_j"] = repr(float(row["energy_j"]) / 2) if row["energy_j"] else ""
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    assert "its samples" in texts(run)


def test_samples_that_do_not_adjoin_are_not_integrated(run: Path) -> None:
    """A cell that was lent a job has samples of two cells in its trace, with a gap between."""
    alter(run, "traces/mas-splits-2-s0-r0.csv.gz", {}, "energy_j", lambda _: "-9.5")
    assert "its samples" in texts(run)
    path = run / "cells.csv"
    head, *lines = path.read_text().splitlines()
    changed = [f"{line}," + ("sd:0-1<other" if "mas:" in line else "") for line in lines]
    path.write_text("\n".join([f"{head},shared_jobs", *changed]) + "\n")
    assert "its samples" not in texts(run)


def weights(folder: Path, cell: str, job: str, size: int) -> None:
    """Write weights of so many bytes as the safetensors format has it."""
    head = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path = folder / "checkpoints" / cell / f"{job}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(size))


def test_bytes_follow_from_rounds_clients_and_models(draft) -> None:
    """Two clients in each of three rounds send 1,000 bytes: 6,000, and none if they train alone."""
    begun = draft(config={"methods": ["independent"], "seeds": [0, 1], "repeats": 1}).fill()
    for row in begun.rows:
        row |= {"upload_bytes": 6_000, "download_bytes": 6_000}
        begun.phases += [
            {"run_id": "a-run", "cell": row["cell"], "phase": "train", "job": "sd", "round": done,
             "client": str(client), "time_s": 0.0, "energy_j": 0.0}
            for done in range(3) for client in range(2)
        ]  # fmt: skip
    folder = begun.write()
    assert texts(folder) == ""
    weights(folder, "independent-s0-r0", "sd", 1_000)
    assert texts(folder) == ""
    path = folder / "cells.csv"
    path.write_text(path.read_text().replace("6000", "5000"))
    assert "upload_bytes is 5000 in cells.csv, its rounds and models make 6000" in texts(folder)
    alone = folder / "phases.csv"
    alone.write_text(alone.read_text().replace(",sd,", ",sd@1,"))
    assert "its rounds and models make 0" in texts(folder)


def test_cells_that_trained_alike_sent_alike(draft) -> None:
    """Without weights, as in a bundle, one cell of the two can still not be changed alone."""
    begun = draft(config={"methods": ["independent"], "seeds": [0, 1], "repeats": 1}).fill()
    for row, sent in zip(begun.rows, (6_000, 5_000), strict=True):
        row |= {"upload_bytes": sent, "download_bytes": sent}
        begun.phases.append(
            {"run_id": "a-run", "cell": row["cell"], "phase": "train", "job": "s", "round": 0,
             "client": "0", "time_s": 0.0, "energy_j": 0.0}
        )  # fmt: skip
    assert "independent-s0-r0 trained alike: 6000" in texts(begun.write())


def test_numbers_beyond_all_floats_are_named_and_survived(run: Path) -> None:
    alter(run, "phases.csv", CELL | {"phase": "train"}, "time_s", lambda _: "1e308")
    alter(run, "phases.csv", CELL | {"phase": "affinity"}, "time_s", lambda _: "1e308")
    assert [f.level for f in judge(run).findings] == ["damaged"]
    assert "time_s" in judge(run).findings[0].text


def test_a_bundle_is_not_made_of_what_contradicts_itself(run: Path, tmp_path: Path) -> None:
    alter(run, "cells.csv", MAS, "total_loss", lambda text: repr(float(text) - 0.5))
    with pytest.raises(DamagedRunError, match="total_loss"):
        pack([run], tmp_path / "bundle", Packing(private=()))


def test_compare_refuses_it_or_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alter(run, "cells.csv", MAS, "total_loss", lambda text: repr(float(text) - 0.5))
    sides = [f"{run}:independent", f"{run}:mas:splits=2"]
    assert compare([*sides]) == 7
    told = capsys.readouterr()
    assert "total_loss is" in told.err
    assert "×" not in told.out
    assert compare([*sides, "--allow-damaged"]) == 0
    assert "DAMAGED" in capsys.readouterr().out
