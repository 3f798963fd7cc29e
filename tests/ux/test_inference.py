"""A user exports and measures what the first run left, and is told of anything wrong with it."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.check import main as check
from harness.workloads.multitask.commands.infer import main as infer
from tests.ux.conftest import environment
from tests.ux.test_plain_output import CONTROL, long_lines
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.whole

FAST = ("--rate-hz", "20", "--queries", "3", "--warm-up", "0", "--threads", "1", "--batches", "4",
        "--calibration-images", "8", "--idle", "0.2", "--meter", "simulated")  # fmt: skip


@pytest.fixture(scope="module")
def deployed(first_run, tmp_path_factory):
    """Type `harness.infer` over a copy of the first run: (folder, what was printed)."""
    folder = tmp_path_factory.mktemp("deployed") / first_run.folder.name
    shutil.copytree(first_run.folder, folder)
    words = (str(folder), "--methods", "mas", "--runtimes", "onnxruntime", "--quick", *FAST)
    done = subprocess.run(
        [sys.executable, "-m", "harness.infer", *words], cwd=first_run.home,
        env=environment(first_run.home), capture_output=True, text=True, check=False,
        timeout=LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "inference.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_every_window_has_the_joules_of_the_known_power(deployed) -> None:
    """10 W all along: ten joules a second, and their share for each image.

    On a busy host the collector may come too late for a window: then there is a reason instead.
    """
    found = rows(deployed[0])
    models = {r["job"] for r in found} - {""}
    assert len(found) == 2 * (2 + len(models))  # precisions × (two scenarios, every model alone)
    for r in found:
        assert r["status"] == "done", r["reason"]
        assert r["energy_kind"] == "counter"
        assert float(r["time_s"]) >= 0.5  # ten samples
        assert int(r["peak_memory_bytes"]) > int(r["peak_memory_models_bytes"]) > 0
    measured = [r for r in found if r["energy_j"]]
    assert measured
    assert all(r["energy_reason"] for r in found if r not in measured)
    for r in measured:
        energy_j, error_j = float(r["energy_j"]), float(r["energy_error_j"])
        assert energy_j == pytest.approx(10.0 * float(r["time_s"]), abs=error_j)
        assert float(r["energy_per_image_j"]) == pytest.approx(energy_j / int(r["images"]))
        assert float(r["energy_net_j"]) == pytest.approx(0.0, abs=float(r["energy_net_error_j"]))


def test_exports_state_opset_shapes_parity_and_checksums(deployed) -> None:
    document = json.loads((deployed[0] / "inference/models/exports.json").read_text())
    single = [e for e in document["exports"] if e["precision"] == "fp32"]
    assert {e["opset"] for e in document["exports"]} == {18}
    for entry in single:
        assert entry["inputs"] == {"images": ["batch", 3, 32, 32]}
        assert list(entry["outputs"]) == list(entry["tasks"]) == list(entry["parity"])
        for parity in entry["parity"].values():
            assert 0.0 <= parity["max_abs_error"] <= parity["allowed"]
        told = entry["placement"]["cpu"]
        assert told["told_by"] in ("assignment", "profile")  # by release
        assert set(told["nodes"]) == {"CPUExecutionProvider"}
        assert told["nodes"]["CPUExecutionProvider"] > 10
        assert told["elsewhere"] == []
        assert told["executed"]["CPUExecutionProvider"] > 10
    smaller = {e["job"]: e["bytes"] for e in document["exports"] if e["precision"] == "int8"}
    assert all(smaller[e["job"]] < 0.5 * e["bytes"] for e in single)


def test_losses_are_those_of_the_run(deployed) -> None:
    """A graph in fp32 has the total loss that training found; int8 has one of its own."""
    folder, _ = deployed
    with (folder / "cells.csv").open() as stream:
        (cell,) = [r for r in csv.DictReader(stream) if r["method"].startswith("mas")]
    answers = [r for r in rows(folder) if not r["job"]]
    losses = {r["precision"]: float(r["total_loss"]) for r in answers}
    assert losses["fp32"] == pytest.approx(float(cell["total_loss"]), rel=1e-5)
    assert losses["int8"] != losses["fp32"]
    assert losses["int8"] == pytest.approx(losses["fp32"], rel=0.05)


def test_the_screen_and_the_report_show_it(deployed) -> None:
    folder, out = deployed
    assert not CONTROL.search(out.replace("\n", ""))
    assert long_lines(out) == []
    assert "int8 takes" in out
    report = folder / "report"
    for name in ("tables/inference.tex", "tables/inference_tasks.csv", "tables/macros.tex",
                 "figures/inference_cost.pdf", "index.html"):  # fmt: skip
        assert (report / name).stat().st_size > 0, name
    assert "A complete answer to all tasks" in (report / "index.html").read_text()


def test_check_finds_nothing_broken_and_names_what_limits(deployed, capsys) -> None:
    check([str(deployed[0]), "--json"])
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert "damaged" not in {f["level"] for f in run["findings"]}, run


def test_no_file_of_inference_names_a_person_or_a_path(deployed, first_run) -> None:
    for path in (deployed[0] / "inference").rglob("*"):
        if path.is_file() and path.suffix in (".json", ".csv", ".onnx"):
            content = path.read_bytes()
            assert first_run.home.name.encode() not in content, path
            assert b"site-packages" not in content, path


def again(deployed, first_run, tmp_path, *words: str) -> tuple[Path, list[str]]:
    """Return a copy to spoil, and the words that measure it as before."""
    folder = tmp_path / deployed[0].name
    shutil.copytree(deployed[0], folder)
    cache = str(first_run.home / ".cache" / "mas-edge-harness")
    kept = ("--methods", "mas", "--runtimes", "onnxruntime", "--quick", "--no-report")
    return folder, [str(folder), "--cache", cache, *kept, *FAST, *words]


def test_what_is_there_is_not_measured_again(deployed, first_run, tmp_path, capsys) -> None:
    folder, words = again(deployed, first_run, tmp_path)
    before = (folder / "inference.csv").read_bytes()
    assert infer(words) == 0
    assert "nothing" in capsys.readouterr().out
    assert (folder / "inference.csv").read_bytes() == before


def test_a_tampered_graph_fails_its_cell_and_check_sees_it(
    deployed, first_run, tmp_path, capsys
) -> None:
    folder, words = again(deployed, first_run, tmp_path, "--batches", "2")
    graph = next((folder / "inference/models").glob("*/*.int8.onnx"))
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    assert check([str(folder)]) == 7
    assert infer(words) == 5
    out = capsys.readouterr().out
    assert "SHA-256 differs" in out
    assert "--fresh" in out
    (failed,) = [r for r in rows(folder) if r["status"] == "failed"]
    assert "SHA-256" in failed["reason"]
    assert len(rows(folder)) == len(rows(deployed[0])) + 1


def test_a_provider_that_is_not_there_fails_and_the_processor_goes_on(
    deployed, first_run, tmp_path, capsys
) -> None:
    folder, words = again(deployed, first_run, tmp_path, "--providers", "cpu,cuda")
    assert infer(words) == 5
    assert "CUDAExecutionProvider" in " ".join(capsys.readouterr().out.split())
    found = {r["provider"]: r["status"] for r in rows(folder)}
    assert found == {"cpu": "done", "cuda": "failed"}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--methods", "mass"), 2, ("unknown method of this run", "Did you mean 'mas")),
        (("--seeds", "9"), 2, ("no finished cell of seed 9", "It has: 0")),
        (("--providers", "gpu"), 2, ("unknown provider", "Known: cpu")),
        (("--window", "0.1"), 2, ("too short", "Give --window")),
        (("--threads", "999"), 2, ("--threads", "whole numbers")),
        (("--device", "jetson-nan"), 2, ("unknown device", "Did you mean 'jetson-nano'")),
        (("--queries", "5"), 2, ("measured in another way: queries 3 → 5", "--fresh")),
        (("--require-meter", "--meter", "none"), 3, ("cannot be measured", "Leave out")),
    ],
)
def test_bad_options_are_refused(
    words, status, said, deployed, first_run, tmp_path, capsys
) -> None:
    _, given = again(deployed, first_run, tmp_path)
    assert infer([*given, *words]) == status
    err = " ".join(capsys.readouterr().err.split())
    assert err.startswith("error: ")
    assert [text for text in said if text not in err] == []


def test_a_run_without_models_is_refused(deployed, first_run, tmp_path, capsys) -> None:
    folder, words = again(deployed, first_run, tmp_path)
    shutil.rmtree(folder / "checkpoints")
    assert infer(words) == 7
    err = capsys.readouterr().err
    assert "no trained models" in err
    assert "Traceback" not in err


def test_weights_of_another_version_fail_alone(
    deployed, first_run, tmp_path, capsys, monkeypatch
) -> None:
    """MAS holds weights of another network; the cell fails, those of independent go on."""
    monkeypatch.setattr(
        "harness.workloads.multitask.inference.measuring.peak_memory", lambda _: None
    )  # to save time
    folder, words = again(deployed, first_run, tmp_path, "--fresh", "--precisions", "fp32")
    words[words.index("--methods") + 1] = "mas,independent"
    weights = sorted((folder / "checkpoints").glob("mas*/*.safetensors"))
    shutil.copyfile(next((folder / "checkpoints").glob("independent*/s.safetensors")), weights[0])
    words[words.index("--runtimes") + 1] = "torch"  # no exports, so that this takes no time
    assert infer(words) == 5
    out = " ".join(capsys.readouterr().out.split())
    assert "holds another model than small of this version" in out
    found = {(r["method"].partition(":")[0], r["status"]) for r in rows(folder)}
    assert found == {("mas", "failed"), ("independent", "done")}
