"""Fine-tuning over devices, and answering with what was trained."""

import csv
import json

import pytest
from rich.console import Console

from harness.cli.infer import main as infer
from harness.cli.run import main as run
from harness.core.errors import DataError, UsageError
from harness.fleet.commands.server import read_words, run_over
from harness.fleet.status_screen import FleetScreen
from harness.workloads.lora.aggregation.adapters import to_tensors
from harness.workloads.lora.base.opening import open_model
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.inference.adapters_of import TrainedAdapters, merged, read_trained, worn
from harness.workloads.lora.methods import METHODS
from harness.workloads.lora.workload import WORKLOAD
from tests.harness.fleet.workers import WorkerProcess, WorkerSockets

SMALL = ["--workload=lora", "--rows=16", "--test-rows=2", "--batch-size=8", "--rounds=2",
         "--clients=3", "--ranks=8,4,2", "--methods=flora,hetlora,ffa-lora,local"]  # fmt: skip
HERE = ["--meter=none", "--idle-s=0", "--cool-down=off", "--threads=1", "--no-report"]


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    out = tmp_path_factory.mktemp("here")
    assert run([*SMALL, *HERE, f"--out={out}"]) == 0
    (found,) = (path for path in out.iterdir() if path.is_dir())
    return found


@pytest.mark.whole
def test_devices_come_to_the_same_adapters(here, tmp_path):
    """Two workers with one and two clients end with the bytes of one process, file by file."""
    workers = [WorkerProcess(tmp_path, text, cache=tmp_path) for text in ("0", "1-2")]
    try:
        config, options = read_words(
            [*SMALL, "--idle-s=0.1", f"--out={tmp_path / 'fleet'}", "--insecure"]
        )
        screen = FleetScreen(Console(quiet=True), config, tmp_path)
        sockets = WorkerSockets([worker.wait_ready().socket for worker in workers])
        summary = run_over(sockets, config, options, screen)
    finally:
        for worker in workers:
            worker.kill()
    assert not summary.failed
    alone = {row["cell"]: row for row in rows(here / "cells.csv")}
    for row in rows(summary.path / "cells.csv"):
        assert row["objective_value"] == alone[row["cell"]]["objective_value"]
    for file in here.glob("checkpoints/*/*.safetensors"):
        assert (summary.path / file.relative_to(here)).read_bytes() == file.read_bytes()


def test_what_devices_cannot_do_is_refused():
    with pytest.raises(UsageError, match="central"):
        WORKLOAD.for_fleet(LoraConfig(methods=("flora", "central")))


@pytest.mark.whole
def test_every_form_answers_and_merging_changes_no_answer(here, capsys):
    """Worn and merged adapters of one rank are right on the same prompts."""
    assert infer([str(here), "--quick", "--meter", "none", "--methods", "hetlora,local"]) == 0
    found = rows(here / "answers.csv")
    assert [row["form"] for row in found] == ["base", "worn", "merged", "onnx"] * 2
    for row in found:
        assert row["status"] == "done" or row["reason"]
        if row["status"] == "done":
            assert float(row["tokens_per_s"]) > 0.0
            assert int(row["tokens"]) >= int(row["queries"]) > 0
    for method in ("hetlora", "local"):
        own = {row["form"]: row for row in found if row["method"] == method}
        assert own["worn"]["exact_match"] == own["merged"]["exact_match"]
        assert float(own["worn"]["lost_share"]) == 0.0
    out = capsys.readouterr().out
    assert "tokens/s" in out
    assert "no key-value cache" in out


def test_adapters_of_another_base_are_refused(here):
    model = open_model(LoraConfig(methods=("flora",))).model
    file = next(here.glob("checkpoints/*/*.safetensors"))
    base = json.loads((here / "manifest.json").read_text())["base"]["checksum"]
    assert read_trained(file, base, model.shapes).scale == 2.0
    with pytest.raises(DataError, match="trained on the base"):
        read_trained(file, "0" * 64, model.shapes)
    with pytest.raises(DataError, match="fits no layer"):
        read_trained(file, base, {name: (m, n + 1) for name, (m, n) in model.shapes.items()})


def test_a_dense_update_is_worn_with_what_it_lacks_told():
    """A sum of rank 2 is worn whole at rank 2, and at rank 1 lacks its second singular value."""
    import torch  # noqa: PLC0415

    delta = torch.diag(torch.tensor([3.0, 4.0, 0.0]))
    trained = TrainedAdapters({"delta/w": delta}, {"scale": 2.0})
    fitting, lost = worn(trained, 2)
    assert lost < 1e-6
    (a, b) = fitting.worn["w"]
    assert torch.allclose(2.0 * b @ a, delta, atol=1e-5)
    assert worn(trained, 1)[1] == pytest.approx(3.0 / 5.0)
    assert torch.equal(merged(trained).deltas["w"], delta)
    assert worn(TrainedAdapters({"weight/w": delta}, {"scale": 2.0}), 1) is None
    pair = to_tensors(fitting.worn)
    assert set(merged(TrainedAdapters(pair, {"scale": 2.0})).stack) == {"w"}


def test_every_method_has_a_rule(tmp_path):
    """What is listed can be made."""
    from harness.workloads.lora.making_rules import make_rule  # noqa: PLC0415
    from harness.workloads.lora.rules import AdapterFederation  # noqa: PLC0415

    model = open_model(LoraConfig(methods=("flora",))).model
    for name in METHODS:
        rule = make_rule(name, AdapterFederation(model.shapes, (4, 2), 2.0, 0), model)
        state = rule.begin()
        sent = rule.sent(state, 1).tensors
        like = rule.received(1)
        assert {n: t.shape for n, t in sent.items()} == {n: t.shape for n, t in like.items()}
