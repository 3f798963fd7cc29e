"""Boards of a fleet answer requests of their own, each measured by its own meter."""

import csv

import pytest
from rich.console import Console

from harness.cli.run import main as run
from harness.core.errors import RefusedError, UsageError
from harness.evidence.judging import judge
from harness.federated.trainers import RoundRequest
from harness.fleet.commands.server import read_words, run_over
from harness.fleet.status_screen import FleetScreen
from harness.workloads.unlearning.boards import BoardWire
from tests.harness.fleet.workers import WorkerProcess, WorkerSockets
from tests.harness.workloads.unlearning.test_run import OFF, TINY, only, rows

WORDS = [w for w in TINY if w not in ("--no-report", "--threads", "1")]
METHODS = "retrain,sisa:shards=3,scif"
REQUEST = RoundRequest("answers", (), 2, [1], 0, {"method": "scif"})


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Two boards played by this process."""
    out = tmp_path_factory.mktemp("alone")
    assert run([*TINY, *OFF, "--methods", METHODS, "--boards", "2", "--out", str(out)]) == 0
    return only(out)


def quality(folder):
    """What does not depend on time, of every board."""
    names = ("method", "board", "scenario", "ndcg_20", "mia_item", "agreement", "users_forgotten")
    return sorted(tuple(r[n] for n in names) for r in rows(folder / "unlearning.csv"))


def test_each_board_answers_its_own_requests(alone) -> None:
    found = rows(alone / "requests" / "sisa-shards3-s0-r0.csv")
    for scenario in ("batch", "stream"):
        one, two = (
            {u for r in found if (r["board"], r["scenario"]) == (b, scenario)
             for u in r["users"].split()} for b in "01"
        )  # fmt: skip
        assert len(one) == len(two) > 0
        assert not one & two
    assert {(r["board"], r["scenario"], r["request"]) for r in found} == {
        (b, s, str(n)) for b in "01" for s, k in (("batch", 1), ("stream", 3))
        for n in range(1, k + 1)
    }  # fmt: skip
    assert all(float(r["time_s"]) > 0.0 for r in found)


def test_a_boards_requests_are_those_of_a_device_alone(alone, tmp_path) -> None:
    """Board 0 has the very users and values of a run that knows no boards."""
    assert run([*TINY, *OFF, "--methods", METHODS, "--out", str(tmp_path / "one")]) == 0
    one = [(m, "0", s, *rest) for m, _, s, *rest in quality(only(tmp_path / "one"))]
    assert [q for q in quality(alone) if q[1] == "0"] == one


def test_boards_are_compared_with_training_anew_on_the_same_board(alone) -> None:
    found = rows(alone / "unlearning.csv")
    for row in found:
        (other,) = (
            r for r in found if r["method"] == "retrain"
            and (r["board"], r["scenario"]) == (row["board"], row["scenario"])
        )  # fmt: skip
        ratio = float(row["request_time_s"]) / float(other["request_time_s"])
        assert float(row["ratio_to_retrain"]) == pytest.approx(ratio)
    assert not [f for f in judge(alone).findings if f.level in ("damaged", "incomplete")]


@pytest.mark.whole
def test_devices_come_to_what_one_process_comes_to_and_measure_themselves(alone, tmp_path) -> None:
    """Two workers in processes of their own; 20 W are drawn on each."""
    workers = [WorkerProcess(tmp_path, text, cache=tmp_path) for text in ("0", "1")]
    try:
        config, options = read_words(
            [*WORDS, f"--methods={METHODS}", f"--out={tmp_path / 'fleet'}", "--insecure",
             "--window-s=0.3"]
        )  # fmt: skip
        assert config.boards == 2
        screen = FleetScreen(Console(quiet=True), config, tmp_path)
        sockets = WorkerSockets([worker.wait_ready().socket for worker in workers])
        summary = run_over(sockets, config, options, screen)
    finally:
        for worker in workers:
            worker.kill()
    assert not summary.failed
    assert quality(summary.path) == quality(alone)
    with (summary.path / "devices.csv").open(newline="") as stream:
        told = list(csv.DictReader(stream))
    assert {r["device"] for r in told} == {"x86-0", "x86-1"}
    assert {"learn", "unlearn", "repeat", "evaluate"} <= {r["phase"] for r in told}
    for row in rows(summary.path / "unlearning.csv"):
        assert float(row["request_energy_j"]) == pytest.approx(
            20.0 * float(row["request_time_s"]), rel=0.35
        )
    assert not [f for f in judge(summary.path).findings if f.level in ("damaged", "incomplete")]


@pytest.mark.parametrize(
    "plain",
    [
        None,
        {"judged": {"batch": {"ndcg_20": "high"}}, "shards_touched": 1, "copies": 0},
        {"judged": {"batch": {"ndcg_20": float("nan")}}, "shards_touched": 1, "copies": 0},
        {"judged": {"batch": {"ndcg_20": True}}, "shards_touched": 1, "copies": 0},
        {"judged": {"batch": {"a b": 1.0}}, "shards_touched": 1, "copies": 0},
        {"judged": {"other": {}}, "shards_touched": 1, "copies": 0},
        {"judged": {"batch": {}}, "shards_touched": -1, "copies": 0},
        {"judged": {"batch": {}}, "shards_touched": 1},
        {"judged": {"batch": {str(n): 1.0 for n in range(100)}}, "shards_touched": 1, "copies": 0},
    ],
)
def test_what_is_no_answer_is_refused(plain) -> None:
    with pytest.raises(RefusedError):
        BoardWire.read_measured(plain, REQUEST, 1)


def test_an_answer_comes_over_the_wire_as_it_was() -> None:
    plain = {"judged": {"batch": {"ndcg_20": 0.25}}, "shards_touched": 3, "copies": 7}
    found = BoardWire.read_measured(plain, REQUEST, 1)
    assert (found.board, found.round, found.copies) == (1, 2, 7)
    assert BoardWire.measured(found) == plain


def test_a_method_that_is_none_is_refused() -> None:
    assert BoardWire.read_settings({"method": "sisa:shards=3"}) == {"method": "sisa:shards=3"}
    with pytest.raises(ValueError, match="sissa"):
        BoardWire.read_settings({"method": "sissa"})
    with pytest.raises(UsageError):
        BoardWire.with_batch({}, 4)


def test_a_file_of_requests_is_for_one_device(capsys, tmp_path) -> None:
    who = tmp_path / "who.txt"
    who.write_text("1\n")
    words = ["--boards", "2", "--who", str(who), "--out", str(tmp_path / "o")]
    assert run([*TINY, *OFF, *words]) == 2
    assert "boards have requests of their own" in capsys.readouterr().err
