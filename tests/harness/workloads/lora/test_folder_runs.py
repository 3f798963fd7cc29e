"""Runs of a tiny real model on rows of files: data, text, questions, memory savers, a power cut."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.cli.run import main as run
from harness.federated.observer import SilentObserver
from harness.federated.random_streams import random_stream
from harness.workloads.lora.base.folder import open_folder
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.data.rows import Row, collate
from harness.workloads.lora.rules import Fitting
from harness.workloads.lora.training import LocalTraining, loss_of, train_rows
from tests.harness.workloads.lora.base.model_folders import SMALL, write_model

transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")

OFF = ["--meter", "none", "--idle-s", "0", "--cool-down", "off", "--threads", "1", "--no-report"]
QUESTION = {"question": "say a", "choices": ["a", "b", "c"], "answer": 0}


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def records():
    """Return sixty rows in the form of Dolly, of two categories."""
    return [
        {"instruction": f"{word} {['a', 'b', 'c'][i % 3]} {['a', 'b', 'c'][i % 2]}",
         "context": "", "response": "a" if word == "say" else "b c", "category": word}
        for i in range(30) for word in ("say", "give")
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Save a tiny Llama with rows, a text and questions beside it."""
    path = tmp_path_factory.mktemp("llama")
    write_model(path, transformers.LlamaConfig(**SMALL))
    (path / "rows.jsonl").write_text("\n".join(map(json.dumps, records())))
    (path / "text.txt").write_text("say a give b back c " * 20)
    (path / "questions.jsonl").write_text(json.dumps(QUESTION))
    return path


def words(folder, out, *more):
    return ["--workload", "lora", "--model", str(folder), "--data", str(folder / "rows.jsonl"),
            "--clients", "2", "--ranks", "4,2", "--rounds", "2", "--epochs", "1", "--batch-size",
            "8", "--dirichlet", "10", "--methods", "flora", "--out", str(out), *OFF,
            *more]  # fmt: skip


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    more = ["--text", str(folder / "text.txt"), "--choices-file", str(folder / "questions.jsonl")]
    assert run(words(folder, out, *more)) == 0
    (found,) = (path for path in out.iterdir() if path.is_dir())
    return found


def test_a_file_s_rows_are_trained_on_and_its_kinds_judged_apart(finished):
    """60 rows: 6 are nobody's, 54 are the clients'; losses are finite and perplexity is exp."""
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["data"]["name"] == "rows.jsonl"
    assert 54 - 2 * 6 < sum(manifest["data"]["rows"]) < 54
    last = {(r["metric"], r["task"]): float(r["value"])
            for r in rows(finished / "metrics.csv") if r["value"]}  # fmt: skip
    assert {"say", "give"} <= {task for name, task in last if name == "test_loss"}
    loss = last["test_loss", "text"]
    assert last["perplexity", "text"] == pytest.approx(math.exp(loss))
    base = manifest["base"]["judged"]["test_loss"]["text"]
    assert last["forgotten", "text"] == pytest.approx(loss - base)
    assert last["choice_accuracy", "choices"] in (0.0, 1.0)


def test_a_changed_text_or_question_is_other_data(folder):
    """A run does not go on with a text that was exchanged under its name."""
    from harness.workloads.lora.base.opening import open_corpus  # noqa: PLC0415

    config = LoraConfig(
        model=str(folder), data=str(folder / "rows.jsonl"), clients=2, ranks="2",
        methods=("flora",), text=str(folder / "text.txt"), dirichlet=10.0,
        choices_file=str(folder / "questions.jsonl"),
    )  # fmt: skip
    opened = open_folder(config)
    before = open_corpus(config, opened).checksum
    (folder / "questions.jsonl").write_text(json.dumps({**QUESTION, "answer": 1}))
    other = open_corpus(config, opened).checksum
    (folder / "questions.jsonl").write_text(json.dumps(QUESTION))
    (folder / "text.txt").write_text("back c " * 20)
    assert len({before, other, open_corpus(config, opened).checksum}) == 3


BATCH = [Row((4, 1, 2), (3, 0)), Row((5, 3), (1, 2, 0)), Row((4, 2), (2, 0)), Row((4, 3), (1, 0))]


def trained(folder, **more):
    """Return the mean loss of three steps, the weights, and forward passes of the first block."""
    config = LoraConfig(model=str(folder), clients=2, ranks="2", methods=("flora",), **more)
    model = open_folder(config).model
    federation_seed = random_stream(7, "adapter")
    from harness.workloads.lora.aggregation.adapters import fresh  # noqa: PLC0415

    model.fit(Fitting(worn=fresh(model.shapes, 2, federation_seed)))
    passes = []
    mlp = next(m for name, m in model.net.named_modules() if name.endswith("layers.0.mlp"))
    mlp.register_forward_pre_hook(lambda *_: passes.append(1))  # torch may stop before its end
    training = LocalTraining(1e-2, epochs=3, batch_size=4, precision=config.precision)
    loss = train_rows(model, BATCH, 0, training, random_stream(0, "order"), SilentObserver())
    return loss, {n: t.clone() for n, t in model.trained("both").items()}, len(passes), model


def test_checkpointing_computes_blocks_twice_and_learns_the_same(folder):
    loss, weights, passes, _ = trained(folder)
    again, same, twice, _ = trained(folder, gradient_checkpointing=True)
    assert (passes, twice) == (3, 6)
    assert again == pytest.approx(loss, rel=1e-6)
    assert all(torch.allclose(weights[n], same[n], atol=1e-6) for n in weights)
    assert any(t.abs().max() > 0 for n, t in weights.items() if n.startswith("b/"))


def test_half_precision_learns_nearly_the_same_in_full_weights(folder):
    """Products carry 8 bits: losses agree to 1 %, not to the bit; adapters stay fp32."""
    loss, _, _, model = trained(folder)
    half, weights, _, _ = trained(folder, precision="bf16")
    assert half != loss
    assert half == pytest.approx(loss, rel=1e-2)
    assert {t.dtype for t in weights.values()} == {torch.float32}
    batch = collate(BATCH, 0)
    exact, rounded = float(loss_of(model, batch)), float(loss_of(model, batch, "bf16"))
    assert rounded == pytest.approx(exact, rel=1e-2)
    assert rounded != exact


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--clients", "60", "--ranks", "2"], "client "),
        (["--context", "65"], "64 tokens"),
        (["--text", "nowhere.txt"], "nowhere.txt"),
        (["--choices-file", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--data", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--targets", "q_prj"], "q_proj"),
        (["--ranks", "17,2"], "1 to 8"),
    ],
)
def test_bad_input_is_told_in_words(folder, change, said, tmp_path, capsys):
    """Empty clients, rows too long, files that are not there, unknown layers: status 2 or 9."""
    status = run(words(folder, tmp_path, *change))
    err = capsys.readouterr().err
    assert status in (2, 9)
    assert said in err
    assert "Traceback" not in err


@pytest.mark.whole
def test_infer_says_why_a_folder_s_model_has_no_graph(finished, folder, capsys):
    from harness.cli.infer import main as infer  # noqa: PLC0415

    (folder / "text.txt").write_text("say a give b back c " * 20)
    own = [
        "--model",
        str(folder),
        "--data",
        str(folder / "rows.jsonl"),
    ]  # a run may be a stranger's
    assert infer([str(finished), "--quick", "--meter", "none", *own]) == 0
    found = {row["form"]: row for row in rows(finished / "answers.csv")}
    assert found["onnx"]["status"] == "left-out"
    assert "optimum" in found["onnx"]["reason"]
    assert float(found["merged"]["tokens_per_s"]) > 0.0


KILLED = """
import os, signal, sys
from harness.cli.run import main
from harness.workloads.lora import federation
original, seen = federation.train_rows, []
def counted(*given):
    seen.append(1)
    if len(seen) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*given)
federation.train_rows = counted
raise SystemExit(main(sys.argv[2:]))
"""
TINY = ["--workload", "lora", "--rows", "16", "--test-rows", "2", "--batch-size", "8", "--rounds",
        "3", "--clients", "3", "--ranks", "8,4,2", "--methods", "flora,hetlora", *OFF]  # fmt: skip


@pytest.mark.whole
def test_a_power_cut_changes_no_bit(tmp_path):
    """SIGKILL while the second round trains, then the same command: weights of a whole run."""
    assert run([*TINY, "--out", str(tmp_path / "whole")]) == 0
    cut = [*TINY, "--out", str(tmp_path / "cut")]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "6", *cut], check=False, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert run(cut) == 0
    one, two = (next(p for p in (tmp_path / name).iterdir() if p.is_dir())
                for name in ("whole", "cut"))  # fmt: skip
    files = sorted(one.glob("checkpoints/*/*.safetensors"))
    assert len(files) == 2
    for file in files:
        assert (two / file.relative_to(one)).read_bytes() == file.read_bytes()
    assert sum(int(r["interruptions"]) for r in rows(two / "cells.csv")) == 1
