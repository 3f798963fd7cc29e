"""What computes something else is seen, whatever is wrong with it; rounding is not taken for it."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from models.agreement import Passes, agreement, passes_of

GENERATOR = torch.Generator().manual_seed(0)


def passes(**changed: list[float]) -> Passes:
    gradients = {"first": [3.0, 4.0], "second": [0.5, -0.25, 2.0], "none": [0.0, 1e-9]}
    return Passes(
        {"s": 2.0, "d": 0.5},
        {k: torch.tensor(v, dtype=torch.float64) for k, v in {**gradients, **changed}.items()},
    )


def brute_cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(x * x for x in b))


def test_the_same_agrees() -> None:
    found = agreement(passes(), passes(), reduced=False)
    assert (found.fault, found.loss, found.directionless) == ("", 0.0, 1)
    assert found.cosine == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("turn", [0.001, 0.004, 0.005, 0.05, 0.099, 0.11, 1.0, 3.0])
def test_the_limit_is_the_cosine_of_the_worst_block(turn: float) -> None:
    """A block turned by an angle has that angle's cosine: known in closed form."""
    own = [5.0 * math.cos(math.atan2(4, 3) + turn), 5.0 * math.sin(math.atan2(4, 3) + turn)]
    other = passes(first=own)
    for reduced, least in ((False, 0.99999), (True, 0.995)):
        found = agreement(passes(), other, reduced=reduced)
        assert found.cosine == pytest.approx(math.cos(turn), abs=1e-12)
        assert found.cosine == pytest.approx(brute_cosine([3.0, 4.0], own), abs=1e-12)
        assert found.block == "first"
        assert bool(found.fault) == (math.cos(turn) < least)
        if found.fault:
            assert found.fault.startswith("gradient of first: cosine ")


def test_a_block_of_zeros_and_one_without_a_number_are_faults() -> None:
    for bad in ([0.0, 0.0, 0.0], [math.nan, 0.0, 1.0], [math.inf, 0.0, 0.0]):
        found = agreement(passes(), passes(second=bad), reduced=True)
        assert found.block == "second"
        assert "gradient of second: cosine" in found.fault


def test_a_scaled_loss_is_a_fault_and_so_is_a_scaled_gradient() -> None:
    plain = passes()
    assert agreement(plain, replace(plain, losses={"s": 2.019, "d": 0.5}), reduced=True).fault == ""
    found = agreement(plain, replace(plain, losses={"s": 2.021, "d": 0.5}), reduced=True)
    assert found.fault == "loss of s: 2.021 instead of 2"
    found = agreement(plain, replace(plain, losses={"s": 2.0, "d": math.nan}), reduced=True)
    assert found.fault.startswith("loss of d: nan")
    twice = Passes(plain.losses, {k: 2.0 * v for k, v in plain.gradients.items()})
    found = agreement(plain, twice, reduced=True)
    assert found.cosine == pytest.approx(1.0)
    assert "2 times as long" in found.fault


def test_a_gradient_that_should_be_none_may_be_rounding_and_no_more() -> None:
    """Whole gradient 5.4: a hundredth of it is where reduced precision ends."""
    whole = passes().norm
    assert agreement(passes(), passes(none=[0.009 * whole, 0.0]), reduced=True).fault == ""
    found = agreement(passes(), passes(none=[0.011 * whole, 0.0]), reduced=True)
    assert "none has a gradient" in found.fault
    assert agreement(passes(), passes(none=[0.009 * whole, 0.0]), reduced=False).fault


def test_plain_figures_that_are_not_finite_judge_nothing() -> None:
    with pytest.raises(ValueError, match="not finite"):
        agreement(passes(first=[math.nan, 0.0]), passes(), reduced=True)
    with pytest.raises(ValueError, match="tasks differ"):
        agreement(passes(), replace(passes(), losses={"s": 2.0}), reduced=True)


def test_passes_are_copies_and_a_missing_gradient_is_zeros() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.grad = torch.ones(1, 2)
    found = passes_of(dict(layer.named_parameters()), {"s": torch.tensor(0.25)})
    layer.weight.grad.zero_()
    assert found.losses == {"s": 0.25}
    assert found.gradients["weight"].tolist() == [1.0, 1.0]
    assert found.gradients["bias"].tolist() == [0.0]
