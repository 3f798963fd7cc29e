"""Rows survive a stop; figures measured in another way are never mixed in."""

import csv

import pytest

from harness.core.errors import DamagedRunError, UsageError
from harness.workloads.multitask.inference.files import InferenceFiles, key
from harness.workloads.multitask.inference.memory import MemoryProbe, peak_memory

WHO = {"device": "x86", "window_s": 2.0}


def row(cell: str, **values: object) -> dict[str, object]:
    return {
        "run_id": "a-run", "cell": cell, "method": "mas", "seed": 0, "job": "",
        "runtime": "torch", "precision": "fp32", "provider": "cpu", "scenario": "offline",
        "threads": 2, "batch_size": 8, "status": "done", **values,
    }  # fmt: skip


@pytest.fixture
def files(tmp_path) -> InferenceFiles:
    found = InferenceFiles(tmp_path)
    assert found.take_up(WHO).rows == ()
    found.manifest({"identity": WHO, "starts": 1})
    return found


def written(files: InferenceFiles) -> list[str]:
    with (files.path / "inference.csv").open() as stream:
        return [r["cell"] for r in csv.DictReader(stream)]


def test_the_next_start_finds_what_is_done_and_forgets_what_failed(files) -> None:
    files.append(row("a", energy_j=1.5))
    files.append(row("b", status="failed", reason="no"))
    files.phases([{"run_id": "a-run", "phase": "infer", "start_s": 1.0, "end_s": 7.5}])

    kept = InferenceFiles(files.path).take_up(WHO)

    assert [(r["cell"], r["energy_j"], r["threads"]) for r in kept.rows] == [("a", 1.5, 2)]
    assert key(kept.rows[0]) == key(row("a"))
    assert (kept.end_s, kept.starts) == (7.5, 1)
    assert written(files) == ["a"]


def test_a_line_that_a_power_cut_tore_is_measured_again(files) -> None:
    files.append(row("a"))
    with (files.path / "inference.csv").open("a") as stream:
        stream.write("a-run,b,x8")
    assert [r["cell"] for r in InferenceFiles(files.path).take_up(WHO).rows] == ["a"]
    assert (files.path / "inference.csv").read_bytes().endswith(b"\n")


def test_another_way_of_measuring_is_refused_and_named(files) -> None:
    files.append(row("a"))
    with pytest.raises(UsageError, match=r"window_s 2\.0 → 3\.0") as caught:
        InferenceFiles(files.path).take_up({**WHO, "window_s": 3.0})
    assert "--fresh" in caught.value.remedy
    assert written(files) == ["a"]


def test_a_damaged_table_is_refused(files) -> None:
    (files.path / "inference.csv").write_text("run_id\nx\n")
    with pytest.raises(DamagedRunError, match="lacks the column"):
        InferenceFiles(files.path).take_up(WHO)


def test_order_does_not_depend_on_that_of_measuring(files) -> None:
    rows = [row("c", method="mas", seed=1), row("b", method="mas"), row("a", method="all-in-one")]
    files.rewrite(rows)
    assert written(files) == ["a", "b", "c"]


def test_accuracy_of_a_model_is_replaced_not_doubled(files) -> None:
    own = {"run_id": "a-run", "cell": "a", "job": "sd", "task": "s", "runtime": "torch",
           "precision": "fp32", "provider": "cpu", "metric": "test_loss"}  # fmt: skip
    for value in (1.0, 2.0):
        files.accuracy([{**own, "value": value}])
    files.accuracy([{**own, "precision": "int8", "value": 3.0}])
    with (files.path / "inference" / "metrics.csv").open() as stream:
        assert [r["value"] for r in csv.DictReader(stream)] == ["2.0", "3.0"]


def test_clearing_leaves_the_run_alone(files) -> None:
    (files.path / "cells.csv").write_text("x")
    files.clear()
    assert [path.name for path in files.path.iterdir()] == ["cells.csv"]


def test_memory_of_a_process_of_its_own(deployed) -> None:
    """What cannot be loaded has no figure; the process never takes this one along."""
    probe = MemoryProbe("onnxruntime", "cpu", False, 1, 1, 8, ("/none.onnx",))
    assert peak_memory(probe) is None
