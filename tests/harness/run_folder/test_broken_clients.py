"""Data that break while they are in use fail the cell by name; others go on, nothing is guessed."""

import os
import shutil

import numpy as np
import pytest

from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.training import copy as training_copy
from tests.harness.run_folder.conftest import Runner, manifest, only, rows


@pytest.fixture
def broken(runner, tmp_path, monkeypatch):
    """Return how to run two cells, a client's file being broken within the first one's round 2."""

    def run(break_file, client=1, label="d"):
        own = Runner(tmp_path / "cache")
        own.run(tmp_path / "first", rounds=1, methods=("all-in-one",))  # makes the data
        (store,) = (tmp_path / "cache").glob("scenes*")
        folder = sorted((store / "train").iterdir())[client]
        path, kept = folder / f"{label}.npy", tmp_path / "kept.npy"
        plain, calls = training_copy.train_client, []

        def train(*words, **named):
            calls.append(words)
            if len(calls) == 4:  # warm-up and two clients of round 1 are done; round 2 begins
                shutil.copy2(path, kept)
                break_file(path)
            return plain(*words, **named)

        plain_split = Store.split

        def split(self, name, number):
            if calls and kept.exists() and _cell_is_over(tmp_path / "out"):
                shutil.copy2(kept, path)  # as it was, time of change and all
                kept.unlink()
            return plain_split(self, name, number)

        monkeypatch.setattr(training_copy, "train_client", train)
        monkeypatch.setattr(Store, "split", split)
        methods = ("all-in-one", "fedprox")
        own.run(tmp_path / "out", order="fixed", methods=methods, rounds=2)
        return rows(only(tmp_path / "out"), "cells")

    return run


def _cell_is_over(out) -> bool:
    return any("cell done" in path.read_text() for path in out.glob("*/events.jsonl"))


def _cut(path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _scribble(path) -> None:
    with path.open("r+b") as stream:
        stream.seek(-100, os.SEEK_END)
        stream.write(b"garbage" * 10)


def _remove(path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("break_file", "said"),
    [(_cut, "is damaged"), (_scribble, "was changed while it was in use"), (_remove, "missing")],
)
def test_a_clients_file_breaks_in_mid_run(broken, tmp_path, break_file, said) -> None:
    """The cell names client, round and file; the next cell, the file being whole again, is done."""
    row, later = sorted(broken(break_file), key=lambda r: r["status"] == "done")
    assert (row["status"], row["total_loss"]) == ("failed", "")
    for word in ("client 1", "round 2", "d.npy", said, "[data]"):
        assert word in row["reason"]
    assert later["status"] == "done"
    assert manifest(only(tmp_path / "out"))["status"] == "done"


def test_a_file_that_was_only_touched_is_used(broken) -> None:
    """Another time of change with the same content is no damage."""
    assert {row["status"] for row in broken(os.utime)} == {"done"}


def test_a_loss_of_one_client_that_is_no_number_is_named(runner, tmp_path, monkeypatch) -> None:
    """NaN pixels of one client: the cell says client, round and task."""
    plain = training_copy.ClientBatches.read

    class Spoilt(training_copy.ClientBatches):
        def __init__(self, source, split, client, tasks, device):
            super().__init__(source, split, client, tasks, device)
            self.spoilt = (split, client) == ("train", 1)

        def read(self, chosen):
            images, targets = plain(self, chosen)
            return (images * np.nan if self.spoilt else images), targets

    monkeypatch.setattr(training_copy, "ClientBatches", Spoilt)
    runner.run(tmp_path, methods=("all-in-one", "independent"))
    for row in rows(only(tmp_path), "cells"):
        assert row["status"] == "failed"
        for word in ("client 1", "round 1", "task", "nan", "[diverged]"):
            assert word in row["reason"]
