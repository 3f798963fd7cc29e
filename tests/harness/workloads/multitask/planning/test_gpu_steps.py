"""Which ways a GPU is timed in, that its clock waits for it, and what may be asked for by name.

No GPU is at hand: what it can do, and its being done, are told by a fake of torch's interface.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from harness.core.errors import UsageError
from harness.running.target import resolve_target
from harness.workloads.multitask.planning import step_cache, step_timing
from harness.workloads.multitask.planning.step_timing import Timed, Way, compare, executions
from harness.workloads.multitask.planning.training_setup import TrainingSetup, fastest
from models.execution import PLAIN, Execution, parse_execution
from models.multitask.registry import architecture
from models.products import products
from tests.harness.run_folder.conftest import Runner

GPU = SimpleNamespace(kind="gpu", kind_here="gpu", is_gpu=True, shared_memory=False)


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def capability(monkeypatch):
    def have(major: int) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (major, 0))

    return have


def test_a_gpu_is_timed_in_every_precision_it_has_singly_and_as_a_graph(capability) -> None:
    capability(8)
    found = executions(gpu=True)
    assert {way.precision for way in found} == {"fp32", "tf32", "bf16", "fp16"}
    assert len(set(found)) == len(found) == 4 * 2 * 2
    assert {way.optimizer for way in found} == {"fused"}
    for way in found:
        assert replace(way, launch="graph") in found
        assert parse_execution(way.text) == way
    capability(7)  # Xavier, TX2, Nano: neither TF32 nor bf16
    assert {way.precision for way in executions(gpu=True)} == {"fp32", "fp16"}


def test_a_processor_is_timed_in_none_of_what_only_a_gpu_can(monkeypatch) -> None:
    monkeypatch.setattr(step_timing, "bf16_supported", lambda: True)
    assert not any(way.needs_gpu for way in executions())


def test_texts_of_before_stay() -> None:
    """Manifests and columns tell of ways by these words."""
    assert PLAIN.text == "fp32+channels-last+loop"
    assert Execution("bf16", "channels-last", "fused").text == "bf16+channels-last+fused"
    graph = Execution("fp16", "channels-last", "fused", "graph")
    assert graph.text == "fp16+channels-last+fused+graph"


def test_every_moment_is_read_after_the_gpu_is_done(runner, tmp_path, monkeypatch) -> None:
    """Each reading of the clock is preceded by a wait: between two steps there are two of both."""
    told: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: told.append("wait"))

    def clock() -> float:
        told.append("read")
        return float(len(told))

    class Stepper:
        def __init__(self, _architecture, _config, _tasks, clock):
            self._clock = clock

        def time_s(self, way):
            start_s = self._clock()
            told.append("step")
            return self._clock() - start_s

    monkeypatch.setattr(step_timing, "_Stepper", Stepper)
    config = runner.config(tmp_path, accelerator="gpu")
    compare(architecture("small"), config, [Way(PLAIN, 1), Way(Execution("fp16"), 1)], clock)
    assert "step" in told
    assert all(told[i - 1] == "wait" for i, word in enumerate(told) if word == "read")


def test_a_way_whose_graph_cannot_be_made_is_passed_over(runner, tmp_path, monkeypatch) -> None:
    """The same precision launched singly is taken, and the reason stands beside the other."""
    graph, single = (
        Execution("fp16", "channels-last", "fused", "graph"),
        Execution("fp16", "channels-last", "fused"),
    )

    class Stepper:
        def __init__(self, *_):
            pass

        def time_s(self, way):
            if way.execution == graph:
                raise RuntimeError("no graph of the step can be made: stream is capturing")
            return 0.4 if way.execution == PLAIN else 0.1

    monkeypatch.setattr(step_timing, "_Stepper", Stepper)
    ways = [Way(e, 1) for e in (PLAIN, graph, single)]
    found = compare(architecture("small"), runner.config(tmp_path), ways, clock=lambda: 0.0)
    assert fastest(found).way.execution == single
    assert "no graph of the step" in found[1].problem
    assert isinstance(found[1], Timed)


@pytest.mark.parametrize(
    ("step", "major", "words"),
    [("tf32", 7, "compute capability 8"), ("bf16", 7, "compute capability 8"),
     ("graph", 9, "fused optimizer"), ("fp16+fused+graph", 7, ""), ("bf16+fused", 8, "")],
)  # fmt: skip
def test_what_a_gpu_cannot_do_is_refused_by_name(
    step, major, words, capability, runner, tmp_path
) -> None:
    capability(major)
    config = runner.config(tmp_path, step=step)
    target = replace(resolve_target(config), accelerator=GPU)
    if not words:
        assert TrainingSetup(config, target, None).known_choice().execution == parse_execution(step)
        return
    with pytest.raises(UsageError, match=words):
        TrainingSetup(config, target, None).known_choice()


@pytest.mark.parametrize("step", ["tf32", "fused+graph"])
def test_what_only_a_gpu_can_do_is_refused_on_a_processor(step, runner, tmp_path) -> None:
    config = runner.config(tmp_path, step=step)
    with pytest.raises(UsageError, match="for a GPU, and the processor trains"):
        TrainingSetup(config, resolve_target(config), None).known_choice()


def test_a_choice_holds_for_one_card_and_its_libraries(runner, tmp_path, monkeypatch) -> None:
    config = runner.config(tmp_path, step="auto")
    target = resolve_target(config)
    assert "gpu" not in step_cache.facts_of(config, target)
    facts = {"gpu": "Orin", "cuda": "12.6", "cudnn": "90300"}
    monkeypatch.setattr(step_cache, "gpu_facts", lambda: facts)
    found = step_cache.facts_of(config, replace(target, accelerator=GPU))
    assert facts.items() <= found.items()
    assert found["torch"] == torch.__version__


def test_tf32_holds_for_a_step_and_no_longer() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32

    def step() -> None:
        with products(Execution("tf32")):
            assert matmul.allow_tf32
            assert cudnn.allow_tf32
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        step()
    assert (matmul.allow_tf32, cudnn.allow_tf32) == before
    with products(Execution("fp16")):
        assert (matmul.allow_tf32, cudnn.allow_tf32) == before
