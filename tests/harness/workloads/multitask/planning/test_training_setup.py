"""One way of executing steps for a whole run: as asked, or measured with a margin and kept."""

from dataclasses import replace

import pytest

from harness.core.errors import UsageError
from harness.running.target import resolve_target
from harness.workloads.multitask.planning import step_timing, training_setup
from harness.workloads.multitask.planning.batch_fit import BatchFit
from harness.workloads.multitask.planning.step_cache import VERSION, facts_of
from harness.workloads.multitask.planning.step_timing import MARGIN, Timed, Way
from harness.workloads.multitask.planning.training_setup import TrainingSetup, fastest
from models.execution import PLAIN, Execution, parse_execution
from tests.harness.run_folder.conftest import Runner

FUSED = Execution(optimizer="fused")
BF16 = Execution("bf16", "channels-last", "fused")


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


def timed(execution: Execution, merged: list[float], single: list[float], problem="") -> Timed:
    return Timed(Way(execution, 2), {}, {"merged": merged, "single": single}, problem)


def setup_of(config, *, remote=False) -> TrainingSetup:
    """Return the setup on this host of what builds no network."""
    return TrainingSetup(config, resolve_target(config), None, remote)


def asking(setup, step, *, remote=False) -> TrainingSetup:
    return setup_of(replace(setup.config, step=step), remote=remote)


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


@pytest.fixture
def measured(monkeypatch):
    """Let every calibration find what the list says, and count them; any batch fits."""
    found = []
    monkeypatch.setattr(
        training_setup, "fit_batch", lambda c, *_: BatchFit(c.batch_size, c.batch_size)
    )

    def calibrate(setup):
        execution, threads = found.pop(0)
        return {
            "version": VERSION, "facts": facts_of(setup.config, setup.target),
            "made": "2026-11-25T00:00:00+00:00", "execution": execution.text, "threads": threads,
            "gain": 1.5, "foreign_cores": 0.0,
        }  # fmt: skip

    monkeypatch.setattr(TrainingSetup, "calibrate", calibrate)
    return found


@pytest.fixture
def automatic(runner, tmp_path):
    return setup_of(runner.config(tmp_path / "out", step="auto", cache=str(tmp_path / "cache")))


def test_a_choice_is_kept_for_the_next_run_until_it_is_measured_anew(measured, automatic) -> None:
    """The same command on the same host gives the same way, and so the same numbers."""
    measured += [(FUSED, 1), (BF16, 1), (PLAIN, 1)]
    assert automatic.known_choice() is None
    first = automatic.choose()
    assert (first.execution, first.threads, first.asked) == (FUSED, 1, "auto")
    again = [replace(automatic.choose(), batch=None), replace(first, batch=None)]
    assert again == [automatic.known_choice()] * 2
    assert automatic.choose(anew=True).execution == BF16
    assert automatic.choose().execution == BF16
    larger = replace(automatic, config=replace(automatic.config, batch_size=4))
    assert larger.choose().execution == PLAIN
    assert not measured


def test_a_kept_choice_that_cannot_be_read_is_measured_anew(measured, automatic) -> None:
    measured += [(FUSED, 1), (FUSED, 1)]
    automatic.choose()
    (file,) = (automatic.config.cache_folder / "steps").iterdir()
    file.write_text("{")
    assert automatic.known_choice() is None
    assert automatic.choose().execution == FUSED
    assert not measured


def test_what_is_asked_for_is_not_measured(measured, automatic) -> None:
    fixed = asking(automatic, "contiguous")
    choice = fixed.choose(anew=True)
    assert replace(choice, batch=None) == fixed.known_choice()
    assert (choice.execution, choice.calibrated) == (parse_execution("contiguous"), {})


def test_bf16_is_refused_where_the_processor_has_none(automatic, monkeypatch) -> None:
    monkeypatch.setattr(step_timing, "bf16_supported", lambda: False)
    with pytest.raises(UsageError, match="--step bf16: this processor"):
        asking(automatic, "bf16").choose()


def test_what_other_devices_can_do_they_find_themselves(automatic, monkeypatch) -> None:
    """A server without bf16, or without a GPU, may lead devices that have both."""
    monkeypatch.setattr(step_timing, "bf16_supported", lambda: False)
    for step in ("bf16", "tf32", "fp16+fused+graph"):
        found = asking(automatic, step, remote=True).choose()
        assert found.execution == parse_execution(step)
    with pytest.raises(UsageError, match="needs the fused optimizer"):
        asking(automatic, "graph", remote=True).choose()
