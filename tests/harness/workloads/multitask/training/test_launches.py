"""How steps were launched is counted and kept in the manifest, with the reason where no graph was.

No GPU is at hand: the recorder of graphs is a fake that runs the same Python again.
"""

from dataclasses import replace

import pytest

from harness.federated.observer import SilentObserver
from harness.workloads.multitask.federation import Federation, LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.cost import Calibration
from harness.workloads.multitask.planning import training_setup
from harness.workloads.multitask.planning.calibration import RunTiming
from harness.workloads.multitask.planning.step_choice import StepChoice
from harness.workloads.multitask.planning.training_setup import TrainingSetup
from harness.workloads.multitask.training.client import LocalTraining
from harness.workloads.multitask.training.joining import SERVERS
from harness.workloads.multitask.training.local_rule import Proximal
from models.execution import PLAIN, Execution
from models.multitask.registry import architecture
from models.multitask.weighting import Balanced
from tests.harness.run_folder.conftest import Runner, SilentScreen, manifest, only
from tests.models.multitask.test_captured import Recorder

GRAPH = Execution(optimizer="fused", launch="graph")
TIMING = RunTiming(Calibration({"encoder": 0.001, **dict.fromkeys("sdn", 0.001)}))


@pytest.fixture
def recorder(monkeypatch):
    """Record graphs by a fake; return how to let it fail."""

    def play(fault=""):
        monkeypatch.setattr("models.multitask.captured.CudaGraphs", lambda: Recorder(fault))

    play()
    return play


def launches(source, job, execution=GRAPH, batch_size=2, **settings):
    """Train a job of one round with both clients of the tiny source."""
    training = LocalTraining(1, batch_size, execution=execution, look_ahead_every=2)
    engine = LocalEngine(
        source, architecture("small"), Federation(2, 0.05, 1, training, **settings), 0,
        SilentObserver(),
    )  # fmt: skip
    engine.run(job)
    return dict(engine.launches)


def test_steps_are_counted_by_how_they_were_launched(tiny_source, recorder):
    """Two clients with four and two batches, of which every second one looks ahead."""
    assert launches(tiny_source, Job("sd", 1)) == {"graph": 6}
    found = launches(tiny_source, Job("sd", 1, measure_affinity=True))
    assert found == {"graph": 3, "a look-ahead": 3}
    assert launches(tiny_source, Job("sd", 1), PLAIN) == {}  # nobody asked for graphs


@pytest.mark.parametrize(
    ("rule", "why"),
    [(Balanced(), "steps of Balanced"), (Proximal(0.1), "steps of Proximal")],
)
def test_rules_say_that_no_graph_holds_them(rule, why, tiny_source, recorder):
    assert launches(tiny_source, replace(Job("sd", 1), local=rule)) == {why: 6}


def test_what_a_server_sends_beside_the_model_is_named(tiny_source, recorder):
    """Velocities that clients go on from come anew with every round."""
    found = launches(tiny_source, Job("sd", 2), joining=SERVERS["averaged-momentum"])
    assert set(found) == {"what the server sends beside the model"}


def test_a_graph_that_cannot_be_recorded_says_why(tiny_source, recorder):
    recorder("operation not permitted when stream is capturing")
    assert launches(tiny_source, Job("sd", 1)) == {
        "no graph could be recorded: operation not permitted when stream is capturing": 6
    }


def test_a_run_keeps_them_in_its_manifest_and_shows_a_failure(
    tmp_path, recorder, monkeypatch, tmp_path_factory
):
    runner = Runner(tmp_path_factory.mktemp("cache"))
    choice = StepChoice(GRAPH, 1, "fused+graph")
    monkeypatch.setattr(TrainingSetup, "choose", lambda *_, **__: choice)
    monkeypatch.setattr(TrainingSetup, "known_choice", lambda _: choice)
    monkeypatch.setattr(training_setup, "checked", lambda step, _: step)
    monkeypatch.setattr(training_setup, "take_timing", lambda *_, **__: TIMING)
    shown = []

    class Screen(SilentScreen):
        def cell_done(self, result, report):
            shown.append(report.summary)

    runner.run(tmp_path / "good", screen=Screen())
    cells = manifest(only(tmp_path / "good"))["cells"]
    assert cells
    assert all(told["launches"]["graph"] > 0 for told in cells.values())
    assert not any("one by one" in words for words in shown)

    shown.clear()
    recorder("stream is capturing")
    runner.run(tmp_path / "bad", screen=Screen())
    told = next(iter(manifest(only(tmp_path / "bad"))["cells"].values()))
    why = "no graph could be recorded: stream is capturing"
    assert told["launches"][why] > 0
    assert all(f"steps launched one by one, {why}" in words for words in shown)
    assert shown
