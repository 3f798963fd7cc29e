"""Without a GPU the benchmark says so and measures nothing; with one it times steps in turn."""

import pytest
import torch

from tests.benchmarks import gpu


@pytest.mark.parametrize(
    ("built_for", "words"),
    [(None, "built for the processor alone"), ("12.6", "CUDA finds no GPU")],
)
def test_without_a_gpu_nothing_is_measured(built_for, words, monkeypatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", built_for)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "step_rows", lambda *_: pytest.fail("measured"))
    (line,) = gpu.report()
    assert line.startswith("Not run, nothing was measured: this needs an NVIDIA GPU.")
    assert words in line


def test_steps_are_timed_in_turn_after_three_that_do_not_count() -> None:
    """Steps of 3 and 1 s on a clock that they move themselves."""
    now, told = [0.0], []

    def step(name, seconds):
        def take():
            told.append(name)
            now[0] += seconds

        return take

    found = gpu.in_turn([step("a", 3.0), step("b", 1.0)], 2, lambda: now[0])
    assert found == [[3.0, 1.0]] * 2
    assert told == ["a", "b"] * 5
