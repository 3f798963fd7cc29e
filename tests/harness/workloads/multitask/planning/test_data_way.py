"""Data stay on a GPU only where its memory holds them beside the largest step, with room to spare.

No GPU is at hand: a recorded allocator tells what is free.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness.core.errors import MemoryExceededError
from harness.running.target import resolve_target
from harness.workloads.multitask.planning import data_way, training_setup
from harness.workloads.multitask.planning.batch_fit import BatchFit
from harness.workloads.multitask.planning.data_way import (
    DataWay,
    choose_data_way,
    fill,
    source_brought,
    training_bytes,
)
from harness.workloads.multitask.planning.step_choice import StepChoice, recorded_choice
from harness.workloads.multitask.training.feeding import AHEAD, COPIED, KEPT, GpuData
from models.execution import PLAIN
from tests.harness.run_folder.conftest import Runner, SilentScreen, manifest, only, rows
from tests.harness.running.test_gpu_memory import Allocator
from tests.harness.workloads.multitask.training.test_feeding import Recorder

MB = 1_000_000


class Sized:
    """Serve two clients whose images and depth take 100 MB together; nothing else is looked at."""

    masked = False

    def split(self, _split, _client):
        return {
            "rgb": SimpleNamespace(nbytes=30 * MB), "d": SimpleNamespace(nbytes=20 * MB),
            "n": SimpleNamespace(nbytes=900 * MB), "mask": SimpleNamespace(nbytes=900 * MB),
        }  # fmt: skip

    def count(self, _split):
        return 2


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def chosen(runner, tmp_path, monkeypatch):
    """Choose for 100 MB of data and a step of 400 MB."""

    def choose(free, *, kind="gpu", shared=False, host=64_000 * MB, step=400.0 * MB, fault=""):
        config = runner.config(tmp_path)
        here = SimpleNamespace(
            kind=kind, kind_here=kind, is_gpu=kind == "gpu", shared_memory=shared
        )
        target = replace(resolve_target(config), accelerator=here)
        allocator = Allocator(80_000 * MB, free)
        gpu = allocator if kind == "gpu" else None
        monkeypatch.setattr(data_way, "gpu_allocator", lambda _: gpu)
        module = "harness.workloads.multitask.planning.batch_fit.free_bytes"
        monkeypatch.setattr(module, lambda *_: host)
        batch = BatchFit(16, 16, step, free, 0.0) if step is not None else None
        return choose_data_way(Sized(), "d", target, batch, lambda: fault)

    return choose


def test_only_what_is_trained_on_counts():
    assert training_bytes(Sized(), "d") == 100 * MB
    assert training_bytes(Sized(), "") == 60 * MB


def test_data_stay_where_half_of_what_the_step_leaves_holds_them(chosen):
    """0.5 · (0.9 · free - 400) ≥ 100 MB from 667 MB on."""
    assert chosen(667 * MB).way == KEPT
    found = chosen(666 * MB)
    assert (found.way, found.data_bytes, found.step_bytes) == (AHEAD, 100 * MB, 400 * MB)
    assert found.words() == (
        "100 MB, copied to the GPU ahead of each step (666 MB are free there, of which a step"
        " takes 400)"
    )
    assert chosen(667 * MB).words() == "100 MB, kept on the GPU"


def test_what_the_gpu_takes_of_shared_memory_the_processor_lacks(chosen):
    assert chosen(8000 * MB, shared=True, host=8000 * MB).way == KEPT
    found = chosen(8000 * MB, shared=True, host=500 * MB)
    assert (found.way, found.free_bytes, found.memory) == (AHEAD, 500 * MB, "shared")
    assert "in what GPU and processor share" in found.words()
    assert chosen(8000 * MB, host=1 * MB).way == KEPT  # a card has memory of its own


def test_without_a_forecast_nothing_is_kept(chosen):
    found = chosen(8000 * MB, step=None)
    assert found.way == AHEAD
    assert "not known" in found.words()


def test_memory_that_cannot_be_pinned_is_said(chosen):
    found = chosen(8000 * MB, fault="no pinned memory left")
    assert found.way == COPIED
    assert "cannot be pinned (no pinned memory left)" in found.words()


def test_on_a_processor_there_is_nothing_to_choose(chosen, runner, tmp_path):
    assert chosen(8000 * MB, kind="cpu") is None
    source = Sized()
    assert source_brought(source, None, runner.config(tmp_path)) is source


def test_a_choice_is_kept_in_the_manifest_and_by_a_run_that_goes_on():
    way = DataWay(KEPT, 100, 1000, 400.0, "gpu")
    choice = StepChoice(PLAIN, 1, "plain", data=way)
    assert choice.as_dict()["data"]["way"] == "kept"
    assert recorded_choice({"step": choice.as_dict()}) == choice
    assert "data" not in StepChoice(PLAIN, 1, "plain").as_dict()


def test_a_step_needs_what_the_line_says_of_the_batch_taken():
    """100 + 25 an image: 900 for the 32 asked for, 300 for the 8 taken."""
    assert BatchFit(32, 8, 900.0, 1000, 25.0).step_bytes == 300.0
    assert BatchFit(32, 8).step_bytes is None


def test_kept_data_are_brought_to_the_gpu_once(runner, tmp_path, monkeypatch):
    class Small(Sized):
        normalisation = {"d": (0.0, 1.0)}  # noqa: RUF012
        depth_unit_m = 1.0

        def split(self, _split, client):
            return {"rgb": np.full((3, 2, 2, 3), client, np.uint8), "d": np.zeros((3, 2, 2), "u2")}

        def length(self, _split, _client):
            return 3

    class Copies:
        pass

    monkeypatch.setattr("harness.workloads.multitask.training.feeding.CudaCopies", Copies)
    source = source_brought(Small(), DataWay(KEPT), runner.config(tmp_path))
    assert isinstance(source, GpuData)
    fill(source, "d")
    assert {k: tuple(t.shape) for k, t in source._kept.items()} == {
        "rgb": (6, 2, 2, 3), "d": (6, 2, 2),
    }  # fmt: skip
    fill(Small(), "d")  # a processor's own source: nothing to do


def test_a_run_that_goes_on_where_its_data_fit_no_more_says_what_to_do(
    runner, tmp_path, monkeypatch
):
    monkeypatch.setattr("harness.workloads.multitask.training.feeding.CudaCopies", Recorder)
    source = source_brought(Sized(), DataWay(KEPT), runner.config(tmp_path))

    def full(_labels):
        raise RuntimeError("CUDA out of memory. Tried to allocate 100.00 MiB")

    monkeypatch.setattr(source, "fill", full)
    with pytest.raises(MemoryExceededError, match="keeps 100 MB of training data") as caught:
        fill(source, "d")
    assert "--fresh" in caught.value.remedy


def test_a_run_says_and_records_how_its_data_come_and_learns_the_same(
    runner, tmp_path, monkeypatch
):
    """The processor stands for the GPU: losses of kept data are those of data copied as read."""
    runner.run(tmp_path / "plain")
    found = DataWay(KEPT, 5 * MB, 1000 * MB, 100.0 * MB, "gpu")
    monkeypatch.setattr(training_setup, "choose_data_way", lambda *_: found)
    copies = Recorder()
    feeding = "harness.workloads.multitask.training.feeding.CudaCopies"
    monkeypatch.setattr(feeding, lambda: copies)
    screen, said = SilentScreen(), []
    monkeypatch.setattr(
        screen, "say", lambda title, text: said.append((title, text)), raising=False
    )
    runner.run(tmp_path / "kept", screen=screen)
    plain, kept = only(tmp_path / "plain"), only(tmp_path / "kept")
    assert ("Images", "5 MB, kept on the GPU") in said
    assert manifest(kept)["step"]["data"]["way"] == "kept"
    assert "data" not in manifest(plain)["step"]
    assert copies.given  # row numbers, and the images of tests
    losses = [[row["total_loss"] for row in rows(folder, "cells")] for folder in (plain, kept)]
    assert losses[0] == losses[1]
