"""Ways are timed in turn with the plain one, on real networks; what fails is recorded."""

import pytest

from harness.workloads.multitask.planning.step_timing import TURNS, Way, compare, fewer_threads
from models.execution import PLAIN, Execution
from models.multitask.registry import architecture
from tests.harness.run_folder.conftest import Runner

FUSED = Execution(optimizer="fused")
BF16 = Execution("bf16", "channels-last", "fused")


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


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
