"""Whole tiny runs: what they write, how they go on after a kill, what meters see of requests."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from harness.cli.check import main as check
from harness.cli.list import main as list_command
from harness.cli.pack import main as pack
from harness.cli.run import main as run
from harness.evidence.judging import judge
from harness.workloads.unlearning.methods import sharded

TINY = [
    "--workload", "unlearning", "--users", "60", "--items", "50", "--mean", "12", "--width", "8",
    "--epochs", "2", "--batch-size", "64", "--share", "0.1", "--requests", "batch,3",
    "--idle-s", "0", "--cool-down", "off", "--threads", "1", "--no-report",
]  # fmt: skip
METHODS = "retrain,sisa:shards=3,scif"
ALL = "retrain,finetune,sisa:shards=3,receraser:shards=3,ultrare:shards=3,scif,influence"
CONSTANT = "simulated:kind=counter,shape=constant,high_w=20"
OFF = ["--meter", "none"]


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def only(out):
    (found,) = (path for path in out.iterdir() if path.is_dir())
    return found


def started(out, *more):
    assert run([*TINY, *more, "--out", str(out)]) == 0
    return only(out)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All methods, both scenarios, one seed."""
    return started(tmp_path_factory.mktemp("run"), *OFF, "--methods", ALL)


def test_every_method_answers_both_scenarios(finished) -> None:
    summary = rows(finished / "unlearning.csv")
    assert {(r["method"], r["scenario"]) for r in summary} == {
        (m, s) for m in ALL.split(",") for s in ("batch", "stream")
    }
    for row in summary:
        assert row["requests"] == ("1" if row["scenario"] == "batch" else "3")
        assert row["batch_size"] == ("6.0" if row["scenario"] == "batch" else "1.0")
        assert float(row["ndcg_20"]) > 0.0
        assert row["request_energy_j"] == ""
        assert "switched off" in row["request_energy_reason"] or row["request_energy_reason"]


def test_a_request_costs_what_its_phases_took(finished) -> None:
    phases = rows(finished / "phases.csv")
    for row in rows(finished / "requests" / "sisa-shards3-s0-r0.csv"):
        job = f"{row['scenario']}-{row['request']}"
        own = [p for p in phases if p["cell"] == "sisa-shards3-s0-r0" and p["job"] == job]
        charged = [float(p["time_s"]) for p in own if p["phase"] == "unlearn"]
        assert len(charged) == int(row["shards_touched"])
        assert float(row["time_s"]) == pytest.approx(sum(charged))
        assert {p["phase"] for p in own} == {"unlearn", "evaluate"}


def test_being_ready_is_charged_apart_from_requests(finished) -> None:
    phases = rows(finished / "phases.csv")
    for row in rows(finished / "unlearning.csv"):
        own = [p for p in phases if p["cell"] == row["cell"] and p["round"] == ""]
        charged = [float(p["time_s"]) for p in own
                   if p["phase"] in ("learn", "partition", "aggregate")]  # fmt: skip
        assert float(row["setup_time_s"]) == pytest.approx(sum(charged))
    kinds = {p["phase"] for p in phases if p["cell"].startswith("receraser") and p["round"] == ""}
    assert kinds == {"learn", "partition", "aggregate", "evaluate"}


def test_methods_are_set_beside_training_anew(finished) -> None:
    summary = rows(finished / "unlearning.csv")
    for row in summary:
        other = next(
            r for r in summary if r["method"] == "retrain" and r["scenario"] == row["scenario"]
        )
        ratio = float(row["request_time_s"]) / float(other["request_time_s"])
        assert float(row["ratio_to_retrain"]) == pytest.approx(ratio)
        assert row["cost_basis"] == "time"
    retrain = [r for r in summary if r["method"] == "retrain"]
    assert all(float(r["agreement"]) == 1.0 for r in retrain)
    assert all(0.0 < float(r["agreement_floor"]) < 1.0 for r in retrain)


def test_the_run_holds_no_contradiction(finished, capsys) -> None:
    assert not [f for f in judge(finished).findings if f.level in ("damaged", "incomplete")]
    assert check([str(finished)]) in (0, 4)
    capsys.readouterr()


@pytest.mark.whole
def test_all_of_a_run_is_packed(finished, tmp_path, capsys) -> None:
    assert pack([str(finished), "--out", str(tmp_path / "bundle")]) in (0, 4), capsys.readouterr()
    names = {path.name for path in (tmp_path / "bundle").rglob("*.csv")}
    assert {"unlearning.csv", "sisa-shards3-s0-r0.csv"} <= names


def test_a_verdict_that_the_intervals_do_not_carry_is_damage(finished, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    text = (copy / "unlearning.csv").read_text()
    assert ",exact,exact," in text
    (copy / "unlearning.csv").write_text(text.replace(",exact,exact,", ",approximate,exact,"))
    found = [f for f in judge(copy).findings if f.level == "damaged"]
    assert any("unlearning.csv says 'exact', its own intervals" in f.text for f in found)


def test_a_missing_or_altered_table_is_found(finished, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    path = copy / "requests" / "retrain-s0-r0.csv"
    own = rows(path)
    path.write_text(path.read_text().replace(own[0]["window_s"], "9.5"))
    assert [f for f in judge(copy).findings if "window_s" in f.text]
    path.unlink()
    assert [f for f in judge(copy).findings if f.code == "file-missing"]


REPEATED = ["--methods", "scif", "--requests", "2", "--meter", CONSTANT, "--rate-hz", "50",
            "--window-s", "0.3"]  # fmt: skip


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """Two requests that were answered again and again for the meter."""
    return started(tmp_path_factory.mktemp("repeated"), *REPEATED)


def of_request(folder, row, *phases):
    """Return what phases.csv has of a request's phases."""
    job = f"{row['scenario']}-{row['request']}"
    found = [p for p in rows(folder / "phases.csv") if p["job"] == job and p["phase"] in phases]
    assert found
    return found


def summed(phases, column):
    return sum(float(phase[column]) for phase in phases)


def test_modelled_joules_are_of_the_windows_that_seconds_are_of(repeated) -> None:
    """The first time, in which all is cold, takes longer than the others: 1 of many."""
    requests = rows(repeated / "requests" / "scif-s0-r0.csv")
    for row in requests:
        window, times = of_request(repeated, row, "unlearn", "repeat"), 1 + int(row["repeats"])
        assert times > 10
        for column in ("time_s", "energy_model_j"):
            assert float(row[column]) == pytest.approx(summed(window, column) / times)
    (standing,) = rows(repeated / "unlearning.csv")
    for column in ("time_s", "energy_model_j"):
        mean = sum(float(row[column]) for row in requests) / len(requests)
        assert float(standing[f"request_{column}"]) == pytest.approx(mean)


def test_modelled_joules_of_another_device_count_what_is_repeated(tmp_path) -> None:
    """They follow from counted work, which is the same each time a request is answered."""
    folder = started(tmp_path, *REPEATED, "--device", "jetson-nano")
    for row in rows(folder / "requests" / "scif-s0-r0.csv"):
        once = summed(of_request(folder, row, "unlearn"), "energy_model_j")
        assert once > 0.0
        assert float(row["energy_model_j"]) == pytest.approx(once)
        again = summed(of_request(folder, row, "repeat"), "energy_model_j")
        assert again == pytest.approx(int(row["repeats"]) * once)


def rewritten(folder, copy, change):
    """Return a copy of a run with other rows of requests, and a summary of these."""
    shutil.copytree(folder, copy)
    path = copy / "requests" / "scif-s0-r0.csv"
    text, summary = path.read_text(), (copy / "unlearning.csv").read_text()
    found = rows(path)
    told = [change(row) for row in found]
    for row, value in zip(found, told, strict=True):
        text = text.replace(f",{row['energy_model_j']},", f",{value!r},")
    (standing,) = rows(copy / "unlearning.csv")
    mean = sum(told) / len(told)
    path.write_text(text)
    (copy / "unlearning.csv").write_text(
        summary.replace(f",{standing['request_energy_model_j']},", f",{mean!r},")
    )
    return [f.text for f in judge(copy).findings if "energy_model_j" in f.text]


def test_runs_whose_modelled_joules_are_of_the_first_time_alone_are_no_damage(
    repeated, tmp_path
) -> None:
    def first(row):
        return summed(of_request(repeated, row, "unlearn"), "energy_model_j")

    assert not rewritten(repeated, tmp_path / "same", lambda row: float(row["energy_model_j"]))
    assert not rewritten(repeated, tmp_path / "old", first)


def test_changed_modelled_joules_of_requests_are_found(repeated, tmp_path) -> None:
    found = rewritten(repeated, tmp_path / "half", lambda row: float(row["energy_model_j"]) / 2)
    assert any("the phases of" in text for text in found)
    copy = tmp_path / "mean"
    shutil.copytree(repeated, copy)
    (standing,) = rows(copy / "unlearning.csv")
    path = copy / "unlearning.csv"
    path.write_text(path.read_text().replace(f",{standing['request_energy_model_j']},", ",9.5,"))
    assert [f for f in judge(copy).findings if "request_energy_model_j is 9.5" in f.text]


@pytest.mark.whole
def test_a_meter_sees_requests_repeated_until_they_are_long_enough(tmp_path) -> None:
    """20 W are drawn: joules of one request are 20 times its seconds; repeats are not charged."""
    out = started(
        tmp_path, "--meter", CONSTANT, "--rate-hz", "50", "--window-s", "1.0",
        "--requests", "2", "--methods", "retrain,scif",
    )  # fmt: skip
    (row,) = (r for r in rows(out / "unlearning.csv") if r["method"] == "scif")
    requests = rows(out / "requests" / "scif-s0-r0.csv")
    assert all(int(r["repeats"]) > 10 for r in requests)
    seconds = float(row["request_time_s"])
    assert seconds < 0.05
    assert float(row["request_energy_j"]) == pytest.approx(20.0 * seconds, rel=0.1)
    assert row["cost_basis"] == "measured energy"
    assert row["request_energy_p95_j"] == ""  # each window alone is half of what is needed
    assert "shorter than 1 s" in requests[0]["energy_reason"]
    phases = [p for p in rows(out / "phases.csv") if p["cell"] == "scif-s0-r0"]
    repeats = sum(float(p["time_s"]) for p in phases if p["phase"] == "repeat")
    assert repeats == pytest.approx(1.0, abs=0.2)
    (cell,) = (r for r in rows(out / "cells.csv") if r["cell"] == "scif-s0-r0")
    assert float(cell["time_s"]) < 0.5


def test_a_window_that_is_too_short_has_no_joules_and_says_why(tmp_path) -> None:
    out = started(
        tmp_path, "--meter", CONSTANT, "--rate-hz", "50", "--window-s", "0.0001",
        "--requests", "1", "--methods", "retrain",
    )  # fmt: skip
    (row,) = rows(out / "requests" / "retrain-s0-r0.csv")
    assert row["repeats"] == "0"
    assert row["energy_j"] or row["energy_reason"]


def interrupted_at(monkeypatch, calls):
    """Break off when the shards of the n-th request begin to be trained."""
    original = sharded.LearnShard.carry_out
    seen = []

    def counted(self, world, state):
        if self.phase == "unlearn":
            seen.append(self)
            if len(seen) == calls:
                raise KeyboardInterrupt
        return original(self, world, state)

    monkeypatch.setattr(sharded.LearnShard, "carry_out", counted)


def test_a_request_that_was_broken_off_is_answered_again_as_a_whole(
    tmp_path, monkeypatch, capsys
) -> None:
    """The second of three shards of a batch: nothing of it counts; the end is that of no break."""
    words = [*OFF, "--methods", "sisa:shards=3"]
    whole = started(tmp_path / "whole", *words)
    out = tmp_path / "broken"
    with monkeypatch.context() as patched:
        interrupted_at(patched, 2)
        assert run([*TINY, *words, "--out", str(out)]) == 130
    (partial,) = only(out).glob("checkpoints/*.partial")
    told = [json.loads(x) for x in (partial / "announced.jsonl").read_text().splitlines()]
    assert [t["job"]["name"] for t in told] == ["batch-1"]
    kept = json.loads(sorted(partial.glob("state-*.json"))[-1].read_text())
    assert [job["name"] for job in kept["jobs"]] == ["partition", "shard-0", "shard-1", "shard-2"]
    assert run([*TINY, *words, "--out", str(out)]) == 0
    folder = only(out)
    name = "sisa-shards3-s0-r0"
    for scenario in ("batch", "stream"):
        both = [safetensors.torch.load_file(f / "checkpoints" / name / f"{scenario}.safetensors")
                for f in (whole, folder)]  # fmt: skip
        assert all(torch.equal(both[0][k], both[1][k]) for k in both[0])
    again = {r["scenario"] + r["request"]: r["begun_before"]
             for r in rows(folder / "requests" / f"{name}.csv")}  # fmt: skip
    assert again == {"batch1": "1", "stream1": "0", "stream2": "0", "stream3": "0"}
    assert [p for p in rows(folder / "phases.csv") if p["phase"] == "lost"]
    capsys.readouterr()


KILLED = """
import os, signal, sys
from harness.cli.run import main
from harness.workloads.unlearning.methods import sharded
original, seen = sharded.LearnShard.carry_out, []
def counted(self, world, state):
    if self.phase == "unlearn":
        seen.append(self)
        if len(seen) == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
    return original(self, world, state)
sharded.LearnShard.carry_out = counted
raise SystemExit(main(sys.argv[2:]))
"""


@pytest.mark.whole
@pytest.mark.parametrize("calls", [5, 7, 10])
def test_a_power_cut_repeats_the_request_and_no_bit_differs(tmp_path, finished, calls) -> None:
    out = tmp_path / "out"
    words = [*TINY, *OFF, "--methods", ALL, "--order", "fixed", "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(calls), *words], env=environment, check=False,
        capture_output=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert run(words) == 0
    for path in sorted((finished / "checkpoints").rglob("*.safetensors")):
        own = only(out) / path.relative_to(finished)
        assert own.read_bytes() == path.read_bytes(), path.name
    begun = [r["begun_before"] for path in (only(out) / "requests").iterdir() for r in rows(path)]
    assert sorted(begun)[-2:] == ["0", "1"]  # the one of the method that the cut fell into


def test_a_dry_run_plans_and_writes_nothing(tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert run([*TINY, *OFF, "--methods", METHODS, "--out", str(out), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "60 users, 50 items" in text
    assert "batch: 1 request, 6 users" in text
    assert not out.exists() or not list(out.iterdir())


def test_what_there_is_is_listed(capsys) -> None:
    for kind, words in (("methods", "exact: learn anew"), ("models", "lightgcn"),
                        ("datasets", "GroupLens")):  # fmt: skip
        assert list_command([kind, "--workload", "unlearning"]) == 0
        assert words in capsys.readouterr().out


def test_the_screen_ends_with_a_table_of_80_columns(tmp_path, capsys) -> None:
    started(tmp_path, *OFF, "--methods", METHODS)
    text = capsys.readouterr().out
    table = text[text.index("batch: 1 request of 6 random users") :].splitlines()[:6]
    assert all(len(line) <= 80 for line in table)
    assert any(line.startswith("sisa:shards=3") and "exact" in line for line in table)
