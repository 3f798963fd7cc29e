"""A seal covers every file of a run but what is made of it later."""

import hashlib

from harness.run_folder.seal import seal, seal_copy, sealed_names


def fill(folder, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_all_is_sealed_but_what_comes_later(tmp_path) -> None:
    own = ["cells.csv", "checkpoints/a/s.safetensors", "events.jsonl", "traces/a.csv.gz"]
    later = ["manifest.json", "lock", "report/index.html", "report/tables/main.csv",
             "inference/models/x.onnx", "inference.csv", "samples/1.bin", ".DS_Store",
             "traces/.hidden", "cells.csv.part"]  # fmt: skip
    fill(tmp_path, *own, *later)
    (tmp_path / "link.csv").symlink_to("cells.csv")
    assert sealed_names(tmp_path) == own
    sums = seal(tmp_path)["sums"]
    assert sums == {name: hashlib.sha256(name.encode()).hexdigest() for name in own}


def test_a_copy_says_what_was_rewritten_and_left_out(tmp_path) -> None:
    fill(tmp_path / "run", "cells.csv", "events.jsonl", "checkpoints/a/s.safetensors")
    fill(tmp_path / "copy", "cells.csv", "events.jsonl")
    (tmp_path / "copy" / "events.jsonl").write_text("veiled")
    before = seal(tmp_path / "run")
    found = seal_copy(tmp_path / "copy", before, ["events.jsonl", "manifest.json"])
    assert found["sums"]["cells.csv"] == before["sums"]["cells.csv"]
    assert found["sums"]["events.jsonl"] == hashlib.sha256(b"veiled").hexdigest()
    assert found["rewritten"] == {"events.jsonl": before["sums"]["events.jsonl"]}
    weights = "checkpoints/a/s.safetensors"
    assert found["left_out"] == {weights: before["sums"][weights]}
    assert seal_copy(tmp_path / "copy", {}, []) == {}
