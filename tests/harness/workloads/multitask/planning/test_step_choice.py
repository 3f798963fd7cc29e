"""One way of executing steps for a whole run: said, recorded, resumed, compared."""

import json
from dataclasses import replace

import pytest

from harness.evidence.comparable import facts
from harness.running.limits import Limits
from harness.workloads.multitask.planning.batch_fit import BatchFit
from harness.workloads.multitask.planning.step_choice import (
    StepChoice,
    calibrated_choice,
    recorded_choice,
)
from harness.workloads.multitask.planning.training_setup import TrainingSetup
from models.execution import PLAIN, Execution
from tests.harness.run_folder.conftest import Runner, manifest, only

FUSED = Execution(optimizer="fused")
BF16 = Execution("bf16", "channels-last", "fused")


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


def test_a_manifest_gives_its_choice_back() -> None:
    found = {"execution": BF16.text, "threads": 1, "gain": 1.5, "foreign_cores": 0.0,
             "made": "2026-11-25T00:00:00+00:00"}  # fmt: skip
    choice = replace(calibrated_choice(found, "steps/1.json"), batch=BatchFit(8, 8))
    told = json.loads(json.dumps({"step": choice.as_dict()}))
    assert recorded_choice(told) == choice
    assert recorded_choice({}) is None
    assert recorded_choice({"step": {"execution": "bf17", "threads": 1, "asked": ""}}) is None
    assert choice.words() == (
        "bf16, channels-last, fused, 1 thread (1.50× the speed of plain, by a calibration of"
        " 2026-11-25; manifest: step)"
    )


def test_a_run_that_goes_on_keeps_its_way(runner, tmp_path, monkeypatch) -> None:
    """Stopped after a round under one way, it ends under that way, whatever would be chosen now."""
    ways = iter([StepChoice(FUSED, 1, "auto")])
    monkeypatch.setattr(TrainingSetup, "choose", lambda *_, **__: next(ways))
    runner.run(tmp_path, limits=Limits(time_s=1e-9), step="auto")
    before = manifest(only(tmp_path))["step"]
    assert before["execution"] == FUSED.text
    summary = runner.run(tmp_path, step="auto")  # choosing again would raise StopIteration
    assert not summary.stopped
    assert manifest(only(tmp_path))["step"] == before


def test_runs_compare_by_how_steps_were_executed_not_by_what_was_asked() -> None:
    """Runs of before this was recorded executed their steps the plain way."""
    plain, old, bf16 = (
        facts({"config": {"step": asked}, **({"step": {"execution": way}} if way else {})})
        for asked, way in (("plain", PLAIN.text), ("auto", ""), ("auto", BF16.text))
    )
    assert plain == old
    assert {key for key in plain if plain[key] != bf16[key]} == {"training step"}
