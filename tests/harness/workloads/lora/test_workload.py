"""A run of fine-tuning through the whole harness: files, resume, check, pack, lists, bad input."""

import csv
import json
import math

import pytest
import safetensors.torch

from harness.cli.list import main as list_command
from harness.cli.pack import main as pack
from harness.cli.run import main as run
from harness.evidence.judging import judge
from harness.running import limits

OPTIONS = [
    "--workload", "lora", "--meter", "none", "--idle-s", "0", "--cool-down", "off", "--threads",
    "1", "--rows", "16", "--test-rows", "2", "--batch-size", "8", "--rounds", "2", "--clients",
    "3", "--ranks", "8,4,2", "--no-report",
]  # fmt: skip
ALL = "flora,zeropad,hetlora,ffa-lora,flexlora,fedex,full,local,central"
D = 3 * (4 * 128 + 2 * 320)
"""Outputs and inputs of the adapted layers of the embedded model: width 64, three blocks."""
M = 3 * (5 * 64 + 256)


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def folder_of(out):
    (found,) = (path for path in out.iterdir() if path.is_dir())
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run every method once."""
    out = tmp_path_factory.mktemp("lora")
    assert run([*OPTIONS, "--methods", ALL, "--out", str(out)]) == 0
    return folder_of(out)


def test_every_method_ends_better_than_the_base(finished):
    """Two rounds on few rows teach a little; the base answers next to nothing right."""
    judged = json.loads((finished / "manifest.json").read_text())["base"]["judged"]
    for row in rows(finished / "cells.csv"):
        assert row["status"] == "done"
        assert row["objective"] == "mixture_loss"
        assert 0.0 < float(row["objective_value"]) < judged["test_loss"]["mixture"]


def test_exact_ways_of_joining_have_no_error_and_averages_have(finished):
    """Stacking, mending, dense sums and a common A are exact to rounding; the others are not."""
    errors = {}
    for row in rows(finished / "metrics.csv"):
        if row["metric"] == "aggregation_error":
            errors.setdefault(row["cell"].split("-s0")[0], []).append(float(row["value"]))
    assert all(len(found) == 2 for found in errors.values())
    for method in ("flora", "flexlora", "fedex", "ffa-lora"):
        assert max(errors[method]) < 1e-5, method
    for method in ("zeropad", "hetlora"):
        assert min(errors[method]) > 0.01, method


def test_bytes_are_those_of_the_tensors_that_travel(finished):
    """Two rounds of three clients of ranks 8, 4 and 2; D and M by hand from the layers."""
    cells = {row["method"]: row for row in rows(finished / "cells.csv")}

    def sent(method):
        row = cells[method]
        return int(row["upload_bytes"]), int(row["download_bytes"])

    adapters = 2 * 4 * 14 * D
    assert sent("zeropad") == (adapters, adapters)
    assert sent("flexlora") == (adapters, adapters)
    assert sent("ffa-lora") == (2 * 4 * 14 * M, 2 * 4 * 14 * M)
    assert sent("local") == sent("central") == (0, 0)
    # nothing to send before the first round; then the stack of rank 14 to each of three
    assert sent("flora") == (adapters, 3 * 4 * 14 * D)
    base = json.loads((finished / "manifest.json").read_text())["base"]["bytes"]
    assert sent("full") == (2 * 3 * base, 2 * 3 * base)


def test_weights_are_safetensors_that_name_their_base(finished):
    manifest = json.loads((finished / "manifest.json").read_text())
    for row in rows(finished / "cells.csv"):
        (file,) = (finished / "checkpoints" / row["cell"]).glob("*.safetensors")
        content = file.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert json.loads(header["__metadata__"]["about"])["base"] == manifest["base"]["checksum"]
        assert safetensors.torch.load(content)


@pytest.mark.whole
def test_the_run_is_whole_and_its_bundle_is_too(finished, tmp_path):
    found = judge(finished)
    assert not [f for f in found.findings if f.level == "damaged"], found.findings
    assert pack([str(finished), "--out", str(tmp_path / "bundle")]) == 0


@pytest.mark.parametrize(("column", "change"), [("objective_value", 1.1), ("upload_bytes", 2)])
def test_files_that_contradict_one_another_are_found(finished, tmp_path, column, change):
    """A better objective, or fewer bytes than the rounds make, is damage."""
    import shutil  # noqa: PLC0415

    copy = tmp_path / finished.name
    shutil.copytree(finished, copy)
    table = rows(copy / "cells.csv")
    row = next(r for r in table if r["method"] == "flora")
    row[column] = repr(type(change)(float(row[column]) * change))
    with (copy / "cells.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, table[0])
        writer.writeheader()
        writer.writerows(table)
    levels = {f.level for f in judge(copy).findings if column in f.text}
    assert "damaged" in levels


def test_tokens_are_those_of_the_rows(finished):
    """Every client's rows pass once an epoch, but for a last batch below half."""
    found = {
        row["cell"]: float(row["value"])
        for row in rows(finished / "metrics.csv")
        if row["metric"] == "tokens_trained"
    }
    assert len(set(found.values())) <= 2  # the pooled rows fill other batches
    assert min(found.values()) > 2 * 2 * 16 * 8


@pytest.mark.whole
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    """After a stop in mid-cell the same command ends with the weights of an undisturbed one."""
    methods = ["--methods", "flora,hetlora,fedex,local"]
    assert run([*OPTIONS, *methods, "--out", str(tmp_path / "whole")]) == 0
    counted = iter(range(1000))
    real = limits.Budget.check

    def stop(self):
        if next(counted) in (0, 4):
            raise limits.BudgetReachedError("stopped by the test")
        real(self)

    monkeypatch.setattr(limits.Budget, "check", stop)
    words = [*OPTIONS, *methods, "--out", str(tmp_path / "cut")]
    assert run(words) == 8
    assert run(words) == 8
    monkeypatch.setattr(limits.Budget, "check", real)
    assert run(words) == 0
    whole, cut = folder_of(tmp_path / "whole"), folder_of(tmp_path / "cut")
    assert sum(int(r["interruptions"]) for r in rows(cut / "cells.csv")) == 2
    for file in whole.glob("checkpoints/*/*.safetensors"):
        assert (cut / file.relative_to(whole)).read_bytes() == file.read_bytes()
    columns = ("objective_value", "upload_bytes", "download_bytes")
    for one, two in zip(rows(whole / "cells.csv"), rows(cut / "cells.csv"), strict=True):
        assert [one[c] for c in columns] == [two[c] for c in columns]


def test_who_sits_out_catches_up(tmp_path):
    """Two of three clients a round: FLoRA's downloads are the stacks that each has missed."""
    words = [*OPTIONS, "--methods", "flora", "--clients-per-round", "2", "--rounds", "4",
             "--out", str(tmp_path)]  # fmt: skip
    assert run(words) == 0
    folder = folder_of(tmp_path)
    trained = {}
    for phase in rows(folder / "phases.csv"):
        if phase["phase"] == "train" and phase["round"]:
            trained.setdefault(int(phase["round"]), set()).add(int(phase["client"]))
    ranks = (8, 4, 2)
    shapes = [(64, 64)] * 12 + [(256, 64), (64, 256)] * 3
    size = [4 * sum(min(sum(ranks[c] for c in trained[r]) * (m + n), m * n) for m, n in shapes)
            for r in range(4)]  # fmt: skip
    dense = 4 * sum(m * n for m, n in shapes)
    wanted = 0
    for r in range(4):
        for client in trained[r]:
            last = max((q for q in range(r) if client in trained[q]), default=0)
            wanted += min(dense, sum(size[last:r]))
    assert int(rows(folder / "cells.csv")[0]["download_bytes"]) == wanted


def test_a_diverged_cell_fails_and_says_so(tmp_path, capsys):
    words = [*OPTIONS, "--methods", "zeropad:rate=10000", "--out", str(tmp_path)]
    assert run(words) == 5
    (row,) = rows(folder_of(tmp_path) / "cells.csv")
    assert row["status"] == "failed"
    assert "loss" in row["reason"]
    assert row["objective_value"] == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ranks", "0"], "at least 1"),
        (["--ranks", "8,-2,2"], "client 1"),
        (["--ranks", "65"], "1 to 64"),
        (["--ranks", "8,4"], "2 ranks for 3 clients"),
        (["--ranks", "four"], "no whole number"),
        (["--methods", "fedit"], "zeropad"),
        (["--methods", "florra"], "flora"),
        (["--methods", "flora:rat=1"], "rate"),
        (["--methods", "hetlora:keep=2"], "keep"),
        (["--targets", "qq"], "q"),
        (["--data", "rows.json"], "tokenizer"),
        (["--text", "text.txt"], "--text needs a model with a tokenizer"),
        (["--choices-file", "questions.jsonl"], "--choices-file needs"),
        (["--context", "16"], "--context needs"),
        (["--gradient-checkpointing"], "--gradient-checkpointing needs"),
        (["--model", "lettres"], "folder"),
        (["--boards", "raspberry-pi-44"], "raspberry-pi-4"),
        (["--clients-per-round", "4"], "impossible"),
        (["--split", "kind"], "category"),
    ],
)
def test_bad_input_is_told_in_words(words, said, tmp_path, capsys):
    """Status 2 or 9, the remedy named, no traceback."""
    status = run([*OPTIONS, *words, "--out", str(tmp_path)])
    err = capsys.readouterr().err
    assert status in (2, 9)
    assert said in err
    assert "Traceback" not in err


def test_ranks_follow_boards_only_if_asked(tmp_path, capsys):
    """By device: 16 on 8 GB, 8 on 4 GB, 2 on 1 GB; a device too small for the model says so."""
    words = [*OPTIONS, "--ranks", "by-device", "--dry-run", "--out", str(tmp_path)]
    assert run(words) == 0
    assert "ranks 16|8|2" in capsys.readouterr().out
    large = [*OPTIONS, "--batch-size", "20000", "--rows", "20000", "--dry-run", "--device",
             "raspberry-pi-3", "--out", str(tmp_path)]  # fmt: skip
    assert run(large) != 0
    assert "GB" in capsys.readouterr().err


def test_it_is_listed(capsys):
    assert list_command(["workloads"]) == 0
    assert "lora" in capsys.readouterr().out
    for kind, word in (("methods", "hetlora"), ("models", "smollm2"), ("datasets", "Dolly"),
                       ("tasks", "swap-pairs")):  # fmt: skip
        assert list_command([kind, "--workload", "lora"]) == 0
        assert word in capsys.readouterr().out


def test_the_mixture_is_the_clients_loss_by_their_rows(finished):
    """The objective is no mean over kinds: it is a finite loss beside a perplexity of exp of it."""
    found = {
        (r["cell"], r["metric"], r["task"]): float(r["value"])
        for r in rows(finished / "metrics.csv")
        if r["round"] == "2" and r["phase"] == "evaluate"
    }
    for row in rows(finished / "cells.csv"):
        loss = float(row["objective_value"])
        assert found[row["cell"], "test_loss", "mixture"] == loss
        assert found[row["cell"], "perplexity", "mixture"] == pytest.approx(math.exp(loss))
