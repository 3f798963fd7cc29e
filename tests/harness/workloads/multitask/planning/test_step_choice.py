"""One way of executing steps for a whole run: measured with a margin, kept, recorded, resumed."""

import json
from dataclasses import replace

import pytest

from harness.core.errors import UsageError
from harness.evidence.comparable import facts
from harness.running.limits import Limits
from harness.running.target import resolve_target
from harness.workloads.multitask import study
from harness.workloads.multitask.planning import step_choice, step_timing
from harness.workloads.multitask.planning.batch_fit import BatchFit
from harness.workloads.multitask.planning.step_choice import (
    StepChoice,
    choose_step,
    fastest,
    known_choice,
    recorded_choice,
)
from harness.workloads.multitask.planning.step_timing import (
    MARGIN,
    TURNS,
    Timed,
    Way,
    compare,
    fewer_threads,
)
from harness.workloads.multitask.study import step_words
from models.execution import PLAIN, Execution, parse_execution
from models.multitask.registry import architecture
from tests.harness.run_folder.conftest import Runner, manifest, only

FUSED = Execution(optimizer="fused")
BF16 = Execution("bf16", "channels-last", "fused")


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


def timed(execution: Execution, merged: list[float], single: list[float], problem="") -> Timed:
    return Timed(Way(execution, 2), {}, {"merged": merged, "single": single}, problem)


def test_plain_stays_unless_another_way_is_clearly_faster_for_both_kinds_of_step() -> None:
    """The smaller of the two median gains must reach the margin."""
    plain = timed(PLAIN, [1.0], [1.0])
    slow_single = timed(FUSED, [9.0, 9.0, 9.0], [0.5, MARGIN - 0.01, 3.0])
    enough = timed(BF16, [0.9, 1.0, MARGIN, 3.0, 5.0], [2.0, 2.0, 2.0])
    failed = timed(Execution("bf16"), [99.0], [99.0], "no such kernel")
    assert fastest([plain, slow_single, failed]) is plain
    assert fastest([plain, slow_single, enough, failed]) is enough
    assert fastest([plain]) is plain


def test_a_gain_that_only_now_and_then_is_one_is_no_gain() -> None:
    """A median above the margin does not do if more than a quarter of the pairs were slower."""
    plain = timed(PLAIN, [1.0], [1.0])
    steady = [0.9, 1.2, 1.2, 1.2]
    shaky = [0.8, 0.9, 1.2, 1.2, 1.3]
    assert fastest([plain, timed(FUSED, shaky, steady)]) is plain
    assert fastest([plain, timed(FUSED, steady, shaky)]) is plain
    assert fastest([plain, timed(FUSED, steady, steady)]).way.execution == FUSED


def test_gains_are_ratios_of_times_taken_in_turn(tiny_architecture, runner, tmp_path) -> None:
    """Plain steps of 0.4 s and others of 0.1 s: four times as fast, each time, both kinds."""
    config = runner.config(tmp_path, batch_size=2)

    def step(way: Way) -> float:
        return 0.4 if way.execution == PLAIN else 0.1

    class Stepper:
        def __init__(self, *_):
            pass

        time_s = staticmethod(step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.workloads.multitask.planning.step_timing._Stepper", Stepper)
        plain, fused = compare(
            tiny_architecture, config, [Way(PLAIN, 1), Way(FUSED, 1)], clock=lambda: 0.0
        )
    assert plain.gains == {"merged": [1.0] * TURNS, "single": [1.0] * TURNS}
    assert fused.gains == {"merged": [4.0] * TURNS, "single": [4.0] * TURNS}
    assert fused.time_s == {"merged": 0.1, "single": 0.1}


def test_a_way_that_fails_or_is_hopeless_is_recorded_and_not_timed(runner, tmp_path) -> None:
    config = runner.config(tmp_path, batch_size=2)

    class Stepper:
        def __init__(self, *_):
            pass

        def time_s(self, way):
            if way.execution == BF16:
                raise RuntimeError("no kernel here\nmore")
            return 1.0 if way.execution == PLAIN else 9.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.workloads.multitask.planning.step_timing._Stepper", Stepper)
        ways = [Way(e, 1) for e in (PLAIN, FUSED, BF16)]
        _, hopeless, failed = compare(architecture("small"), config, ways, clock=lambda: 0.0)
    assert hopeless.problem == "its first step took 9 s, more than 4 s"
    assert failed.problem == "no kernel here"
    assert hopeless.gain == failed.gain == 0.0


def test_real_steps_are_timed_on_the_real_networks(runner, tmp_path, monkeypatch) -> None:
    """All ways run on this host; the threads of this process stay as they were."""
    import torch  # noqa: PLC0415

    config = runner.config(tmp_path, batch_size=2)
    monkeypatch.setattr("harness.workloads.multitask.planning.step_timing.HOPELESS", float("inf"))
    before = torch.get_num_threads()
    found = compare(architecture("small"), config, [Way(PLAIN, 1), Way(FUSED, 2)])
    assert torch.get_num_threads() == before
    assert [set(one.time_s) for one in found] == [{"merged", "single"}] * 2
    assert all(seconds > 0 for one in found for seconds in one.time_s.values())


def test_threads_are_tried_in_halves() -> None:
    assert fewer_threads(12) == [6, 3, 1]
    assert fewer_threads(1) == []


@pytest.fixture
def measured(monkeypatch):
    """Let every calibration find what the list says, and count them; any batch fits."""
    found = []
    monkeypatch.setattr(
        step_choice, "fit_batch", lambda c, *_: BatchFit(c.batch_size, c.batch_size)
    )

    def calibrate(config, target, network):
        execution, threads = found.pop(0)
        return {
            "version": step_choice.VERSION, "facts": step_choice.facts_of(config, target),
            "made": "2026-11-25T00:00:00+00:00", "execution": execution.text, "threads": threads,
            "gain": 1.5, "foreign_cores": 0.0,
        }  # fmt: skip

    monkeypatch.setattr(step_choice, "calibrate_step", calibrate)
    return found


@pytest.fixture
def automatic(runner, tmp_path):
    return runner.config(tmp_path / "out", step="auto", cache=str(tmp_path / "cache"))


def test_a_choice_is_kept_for_the_next_run_until_it_is_measured_anew(measured, automatic) -> None:
    """The same command on the same host gives the same way, and so the same numbers."""
    target = resolve_target(automatic)
    measured += [(FUSED, 1), (BF16, 1), (PLAIN, 1)]
    assert known_choice(automatic, target) is None
    first = choose_step(automatic, target, None)
    assert (first.execution, first.threads, first.asked) == (FUSED, 1, "auto")
    again = [replace(choose_step(automatic, target, None), batch=None), replace(first, batch=None)]
    assert again == [known_choice(automatic, target)] * 2
    assert choose_step(automatic, target, None, anew=True).execution == BF16
    assert choose_step(automatic, target, None).execution == BF16
    larger = replace(automatic, batch_size=4)
    assert choose_step(larger, target, None).execution == PLAIN
    assert not measured


def test_a_kept_choice_that_cannot_be_read_is_measured_anew(measured, automatic) -> None:
    target = resolve_target(automatic)
    measured += [(FUSED, 1), (FUSED, 1)]
    choose_step(automatic, target, None)
    (file,) = (automatic.cache_folder / "steps").iterdir()
    file.write_text("{")
    assert known_choice(automatic, target) is None
    assert choose_step(automatic, target, None).execution == FUSED
    assert not measured


def test_what_is_asked_for_is_not_measured(measured, automatic) -> None:
    fixed = replace(automatic, step="contiguous")
    choice = choose_step(fixed, resolve_target(fixed), None, anew=True)
    assert replace(choice, batch=None) == known_choice(fixed, resolve_target(fixed))
    assert (choice.execution, choice.calibrated) == (parse_execution("contiguous"), {})


def test_bf16_is_refused_where_the_processor_has_none(automatic, monkeypatch) -> None:
    monkeypatch.setattr(step_timing, "bf16_supported", lambda: False)
    fixed = replace(automatic, step="bf16")
    with pytest.raises(UsageError, match="--step bf16: this processor"):
        choose_step(fixed, resolve_target(fixed), None)


def test_what_other_devices_can_do_they_find_themselves(automatic, monkeypatch) -> None:
    """A server without bf16, or without a GPU, may lead devices that have both."""
    monkeypatch.setattr(step_timing, "bf16_supported", lambda: False)
    for step in ("bf16", "tf32", "fp16+fused+graph"):
        fixed = replace(automatic, step=step)
        found = choose_step(fixed, resolve_target(fixed), None, remote=True)
        assert found.execution == parse_execution(step)
    fixed = replace(automatic, step="graph")
    with pytest.raises(UsageError, match="needs the fused optimizer"):
        choose_step(fixed, resolve_target(fixed), None, remote=True)


def test_a_manifest_gives_its_choice_back(measured, automatic) -> None:
    measured += [(BF16, 1)]
    choice = choose_step(automatic, resolve_target(automatic), None)
    told = json.loads(json.dumps({"step": choice.as_dict()}))
    assert recorded_choice(told) == choice
    assert recorded_choice({}) is None
    assert recorded_choice({"step": {"execution": "bf17", "threads": 1, "asked": ""}}) is None
    assert step_words(choice) == (
        "bf16, channels-last, fused, 1 thread (1.50× the speed of plain, by a calibration of"
        " 2026-11-25; manifest: step)"
    )


def test_a_run_that_goes_on_keeps_its_way(runner, tmp_path, monkeypatch) -> None:
    """Stopped after a round under one way, it ends under that way, whatever would be chosen now."""
    ways = iter([StepChoice(FUSED, 1, "auto")])
    monkeypatch.setattr(study, "choose_step", lambda *_, **__: next(ways))
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
