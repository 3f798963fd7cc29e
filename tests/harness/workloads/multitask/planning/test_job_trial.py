"""The largest jobs of a run are tried on a GPU; memory that runs out lowers the batch for all.

No GPU is at hand: the processor trains, and a recorded allocator tells of memory.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from harness.federated.task import StateJudgement
from harness.running.target import resolve_target
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.registry import METHODS
from harness.workloads.multitask.planning import job_trial, training_setup
from harness.workloads.multitask.planning.batch_fit import BatchFit
from harness.workloads.multitask.planning.job_trial import RandomImages, largest_jobs, try_jobs
from harness.workloads.multitask.planning.plan import cell_setting, planned_jobs
from harness.workloads.multitask.planning.step_choice import StepChoice
from harness.workloads.multitask.planning.training_setup import TrainingSetup
from harness.workloads.multitask.training import copy
from models.execution import PLAIN
from models.multitask.registry import architecture
from tests.harness.run_folder.conftest import Runner
from tests.harness.running.test_gpu_memory import Allocator

MB = 1_000_000
UNLIKE = ("apart", "mat-fl", "fedhca2")
"""Methods for clients whose labels are of unlike tasks."""


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def tried_here(runner, tmp_path, monkeypatch):
    """Try the jobs of a configuration with a GPU's memory told by an allocator."""

    def attempt(batch, allocator=None, **changes):
        config = runner.config(tmp_path, batch_size=batch.taken, **changes)
        kind = SimpleNamespace(kind="gpu", kind_here="gpu", is_gpu=True, shared_memory=False)
        target = replace(resolve_target(config), accelerator=kind)
        gpu = allocator or Allocator(8000 * MB, 8000 * MB)
        monkeypatch.setattr(job_trial, "gpu_allocator", lambda _: gpu)
        return try_jobs(config, target, architecture("small"), PLAIN, batch)

    return attempt


def test_every_job_of_every_method_is_no_larger_than_one_that_is_tried(runner, tmp_path):
    alike = [name for name in METHODS if name not in UNLIKE]
    config = runner.config(tmp_path, methods=tuple(alike), tasks="sdnk")
    trials = largest_jobs(config)
    assert trials[0].tasks == config.tasks
    assert any(job.measure_affinity for job in trials)
    assert sum(type(job.local).__name__ == "FixedWeights" for job in trials) == 1
    for spec in config.method_specs():
        for job in planned_jobs(spec, cell_setting(config, 0)):
            assert any(
                type(trial.local) is type(job.local)
                and len(trial.tasks) >= len(job.tasks)
                and (not job.measured_rounds or trial.affinity == job.affinity)
                for trial in trials
            )


def test_a_job_that_is_tried_trains_looks_ahead_and_is_tested(tried_here, monkeypatch):
    """For real, on random images: three batches, of which the first looks ahead; 64 test images."""
    seen = []
    plain = copy.train_client

    def watched(net, batches, settings, *more):
        result = plain(net, batches, settings, *more)
        seen.append((batches.length, result.affinity is not None, result.steps))
        return result

    monkeypatch.setattr(copy, "train_client", watched)
    judged = []

    def judge(_net, source, _observer, *, final):
        judged.append((source.length("test", 0), final))
        return SimpleNamespace(told=lambda: StateJudgement({}))

    monkeypatch.setattr("harness.workloads.multitask.federation.judge", judge)
    monkeypatch.setattr(job_trial, "largest_jobs", lambda _: [Job("sd", 1, measure_affinity=True)])
    found = tried_here(BatchFit(4, 4))
    assert seen == [(12, True, 3)]
    assert judged[-1] == (64, True)
    assert found.taken == 4
    assert found.trial_bytes is not None


def test_random_images_have_the_labels_of_a_jobs_tasks():
    images = RandomImages(8, 4, "sn")
    assert set(images.split("train", 0)) == {"rgb", "s", "n", "mask"}
    assert images.split("test", 0) is images.split("validation", 0)
    arrays = images.split("train", 0)
    assert arrays["rgb"].shape == (12, 8, 8, 3)
    assert arrays["n"].shape == (12, 8, 8, 3)
    assert arrays["s"].shape == (12, 8, 8)
    assert 1 <= arrays["s"].min() <= arrays["s"].max() < 18
    assert images.length("test", 0) == 64


def test_the_job_that_finds_no_memory_halves_the_batch_for_all(tried_here, monkeypatch):
    """Only the one that looks ahead is too large, from 5 images on; its peak stands beside it."""
    told, allocator = [], Allocator(1000 * MB, 1000 * MB)
    jobs = [Job("sdn", 1, measure_affinity=True), Job("sdn", 1)]
    monkeypatch.setattr(job_trial, "largest_jobs", lambda _: jobs)

    def carried_out(config, _network, _execution, job):
        told.append((config.batch_size, job.measure_affinity))
        if job.measure_affinity and config.batch_size > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        allocator.take(config.batch_size * 50 * MB)
        allocator.free(config.batch_size * 50 * MB)

    monkeypatch.setattr(job_trial, "_carried_out", carried_out)
    found = tried_here(BatchFit(32, 16, 9e8, 1000 * MB, 1.0, "gpu"), allocator)
    assert (found.taken, found.burst, found.trial_bytes) == (4, 8, 200 * MB)
    assert told == [(16, True), (8, True), (4, True), (4, False)]
    assert found.step_bytes == 200 * MB
    assert "a step of 8 found no memory on the GPU" in found.words()
    kept = BatchFit(16, 16)
    assert tried_here(kept, allocator, keep_batch_size=True) is kept


def test_on_a_processor_nothing_is_tried(runner, tmp_path, monkeypatch):
    monkeypatch.setattr(job_trial, "largest_jobs", lambda _: pytest.fail("tried"))
    config = runner.config(tmp_path)
    batch = BatchFit(4, 4)
    assert try_jobs(config, resolve_target(config), architecture("small"), PLAIN, batch) is batch


def test_with_a_smaller_batch_the_way_is_chosen_anew(runner, tmp_path, monkeypatch):
    """Asked for 16: the jobs find memory with 4 only, and that is what is calibrated."""
    asked = []

    def calibrated(setup):
        asked.append(setup.config.batch_size)
        return StepChoice(PLAIN, 1, "auto")

    monkeypatch.setattr(TrainingSetup, "newly_calibrated", calibrated)
    monkeypatch.setattr(TrainingSetup, "known_choice", lambda _: None)
    monkeypatch.setattr(training_setup, "fit_batch", lambda *_: BatchFit(16, 16))
    monkeypatch.setattr(
        training_setup,
        "try_jobs",
        lambda *given: replace(given[-1], taken=4, burst=8, trial_bytes=7),
    )
    config = runner.config(tmp_path, batch_size=16)
    found = TrainingSetup(config, resolve_target(config), architecture("small")).choose()
    assert asked == [16, 4]
    assert found.batch == BatchFit(16, 4, burst=8, trial_bytes=7)
