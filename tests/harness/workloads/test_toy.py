"""A workload that the harness never heard of runs through all of it."""

import ast
import csv
import json

import numpy as np
import pytest

from harness.cli.compare import main as compare
from harness.cli.list import main as list_command
from harness.cli.pack import main as pack
from harness.cli.run import main as run
from harness.evidence.judging import judge
from tests.harness.workloads import toy
from tests.harness.workloads.toy import RATES, ToyConfig, rows_of

OPTIONS = ["--workload", "toy", "--meter", "none", "--idle-s", "0", "--cool-down", "off"]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Offer the workload as an installed package would, by its entry point."""
    info = tmp_path / "packages" / "toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[edge_harness.workloads]\ntoy = tests.harness.workloads.toy:WORKLOAD\n"
    )
    monkeypatch.syspath_prepend(str(info.parent))
    return tmp_path


@pytest.fixture
def finished(installed, capsys):
    """Run two methods over three seeds and return the folder."""
    out = installed / "results"
    assert run([*OPTIONS, "--seeds", "0-2", "--out", str(out), "--no-report"]) == 0
    capsys.readouterr()
    (found,) = (path for path in out.iterdir() if path.is_dir())
    return found


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def descent(rate, config):
    """The vector after the rounds, by gradient descent on all rows at once."""
    pairs = [rows_of(client, config.columns) for client in range(config.clients)]
    x = np.concatenate([p[0].numpy() for p in pairs])
    y = np.concatenate([p[1].numpy() for p in pairs])
    w = np.zeros(config.columns)
    for _ in range(config.rounds):
        w -= rate * 2.0 * x.T @ (x @ w - y) / len(x)
    return w, float(((x @ w - y) ** 2).mean())


def test_it_comes_to_what_descent_on_all_rows_comes_to(finished):
    """Averages weighted by rows make the rounds gradient descent on all rows together."""
    for row in rows(finished / "cells.csv"):
        w, error = descent(RATES[row["method"]], ToyConfig())
        text = (finished / "vectors" / f"{row['cell']}.txt").read_text()
        assert ast.literal_eval(text) == pytest.approx(list(w), rel=1e-12)
        assert float(row["objective_value"]) == pytest.approx(error, rel=1e-12)
        assert row["status"] == "done"


def test_columns_of_other_workloads_are_empty(finished):
    """Its own columns are filled, bytes are those of vectors that travelled, tasks are nobody's."""
    config = ToyConfig()
    for row in rows(finished / "cells.csv"):
        assert (row["workload"], row["objective"], row["objective_better"]) == (
            "toy", "error", "lower",
        )  # fmt: skip
        sent = config.rounds * config.clients * config.columns * 8
        assert int(row["upload_bytes"]) == int(row["download_bytes"]) == sent
        assert row["tasks"] == row["groups"] == row["total_loss"] == row["encoder_passes"] == ""


def test_work_is_listed_by_kind(finished):
    """Rows of all clients in all rounds; judging is not charged."""
    config = ToyConfig()
    total = config.rounds * sum(10 * (c + 1) for c in range(config.clients))
    found = [r for r in rows(finished / "work.csv") if r["cell"] == "plain-s0-r0"]
    amounts = {r["kind"]: float(r["amount"]) for r in found}
    assert amounts["forward w"] == amounts["trained rows"] == total
    assert amounts["bytes moved"] == 3.0 * config.rounds * config.clients * config.columns * 8


def test_a_run_that_was_stopped_goes_on(installed, capsys, monkeypatch):
    """After a stop in mid-cell the same command ends where an undisturbed one ends."""
    from harness.running import limits  # noqa: PLC0415

    out = installed / "stopped"
    words = [*OPTIONS, "--out", str(out), "--no-report"]
    counted = iter(range(1000))
    real = limits.Budget.check

    def stop(self):
        if next(counted) >= 3:
            raise limits.BudgetReachedError("stopped by the test")
        real(self)

    monkeypatch.setattr(limits.Budget, "check", stop)
    assert run(words) == 8
    monkeypatch.setattr(limits.Budget, "check", real)
    assert run(words) == 0
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    found = {r["method"]: float(r["objective_value"]) for r in rows(folder / "cells.csv")}
    for method, rate in RATES.items():
        assert found[method] == pytest.approx(descent(rate, ToyConfig())[1], rel=1e-12)
    assert sorted(int(r["interruptions"]) for r in rows(folder / "cells.csv")) == [0, 1]


@pytest.mark.whole
def test_it_is_judged_compared_packed_and_reported(finished, capsys):
    """What evidence and analysis ask of any run they get of this one."""
    from analysis.report import main as report  # noqa: PLC0415

    found = judge(finished)
    assert not [f for f in found.findings if f.level == "damaged"], found.findings
    assert compare([f"{finished}:bold", f"{finished}:plain"]) in (0, 4, 6)
    assert "error" in capsys.readouterr().out
    assert pack([str(finished), "--out", str(finished.parent / "bundle")]) == 0
    assert report([str(finished)]) == 0
    page = (finished / "report" / "index.html").read_text()
    assert "of plain" in page
    assert "independent" not in page
    assert "Error" in page
    assert "total loss" not in page


def test_options_of_one_workload_do_not_appear_in_the_help_of_another(installed, capsys):
    """`--columns` is the toy's alone, `--tasks` is not its own."""
    with pytest.raises(SystemExit):
        run(["--workload", "toy", "--help"])
    own = capsys.readouterr().out
    assert "--columns" in own
    assert "--tasks" not in own
    with pytest.raises(SystemExit):
        run(["--help"])
    assert "--columns" not in capsys.readouterr().out
    assert run(["--workload", "toy", "--tasks", "sd"]) == 2
    assert "--tasks" in capsys.readouterr().err


def test_a_method_of_another_workload_is_refused(installed, capsys):
    """Wrong combinations say so, with the nearest right name."""
    assert run(["--workload", "toy", "--methods", "mas"]) == 2
    assert "mas" in capsys.readouterr().err
    assert run(["--workload", "toi"]) == 2
    assert "toy" in capsys.readouterr().err


def test_it_is_listed(installed, capsys):
    """`list workloads` and `list methods --workload` know it by its entry point."""
    assert list_command(["workloads"]) == 0
    said = capsys.readouterr().out
    assert "toy" in said
    assert "multitask" in said
    assert list_command(["methods", "--workload", "toy"]) == 0
    assert "bold" in capsys.readouterr().out


def test_its_own_options_may_stand_in_a_table(installed, capsys):
    """`[toy]` in a file holds its options, beside those of every run."""
    file = installed / "toy.toml"
    file.write_text('workload = "toy"\nmeter = "none"\nidle_s = 0.0\n[toy]\nrounds = 2\n')
    out = installed / "table"
    words = ["--config", str(file), "--out", str(out), "--no-report"]
    assert run(words) == 0
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    assert json.loads((folder / "manifest.json").read_text())["config"]["rounds"] == 2
    assert {r["rounds"] for r in rows(folder / "cells.csv")} == {"2"}


@pytest.fixture
def over_devices(installed, monkeypatch):
    """Run both methods over two workers of their own processes and return the folder."""
    from rich.console import Console  # noqa: PLC0415

    from harness.fleet.commands.server import read_words, run_over  # noqa: PLC0415
    from harness.fleet.status_screen import FleetScreen  # noqa: PLC0415
    from tests.harness.fleet.workers import WorkerProcess, WorkerSockets  # noqa: PLC0415

    monkeypatch.setenv("PYTHONPATH", str(installed / "packages"))
    workers = [WorkerProcess(installed, text, cache=installed) for text in ("0", "1-2")]
    try:
        words = ["--workload=toy", "--idle-s=0.1", f"--out={installed / 'fleet'}", "--insecure"]
        config, options = read_words(words)
        screen = FleetScreen(Console(quiet=True), config, installed)
        sockets = WorkerSockets([worker.wait_ready().socket for worker in workers])
        summary = run_over(sockets, config, options, screen)
    finally:
        for worker in workers:
            worker.kill()
    assert not summary.failed
    return summary.path


@pytest.mark.whole
def test_devices_come_to_the_same_vectors(over_devices, finished):
    """What two workers learn is to the last bit what one process learns, with its bytes."""
    here = {row["cell"]: row for row in rows(finished / "cells.csv")}
    for row in rows(over_devices / "cells.csv"):
        alone = here[row["cell"]]
        assert row["status"] == "done"
        for column in ("objective_value", "upload_bytes", "download_bytes"):
            assert row[column] == alone[column]
        vectors = [folder / "vectors" / f"{row['cell']}.txt" for folder in (over_devices, finished)]
        assert vectors[0].read_bytes() == vectors[1].read_bytes()
    assert {row["device"] for row in rows(over_devices / "devices.csv")} == {"x86-0", "x86-1-2"}


def test_a_workload_may_set_its_cells_beside_each_other_and_conclude(
    installed, monkeypatch, capsys
):
    """Files about several cells follow their standings; the screen says what the workload adds."""

    def comparisons(self, standings):
        text = "".join(f"{cell.name} {own['error']!r}\n" for cell, own in standings)
        return {"errors.txt": text}

    def conclusion(self, folder):
        return (folder / "errors.txt").read_text().splitlines()

    monkeypatch.setattr(toy.Study, "comparisons", comparisons, raising=False)
    monkeypatch.setattr(toy.Toy, "conclusion", conclusion, raising=False)
    out = installed / "results"
    assert run([*OPTIONS, "--out", str(out), "--no-report"]) == 0
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    told = [f"{r['cell']} {r['objective_value']}" for r in rows(folder / "cells.csv")]
    assert (folder / "errors.txt").read_text().splitlines() == told
    assert "\n".join(told) in capsys.readouterr().out
