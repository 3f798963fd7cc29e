"""Server steps are those of the papers, number by number; statistics are averaged as before."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from harness.federated.server_rules import (
    Adaptive,
    Additive,
    Momentum,
    ServerRule,
    at_rest,
    stepped,
)


def _momentum(changes: list[float]) -> float:
    x = v = 0.0
    for d in changes:
        v = 0.8 * v + d
        x += 0.5 * v
    return x


def _adam(changes: list[float]) -> float:
    x = m = v = 0.0
    for d in changes:
        m = 0.7 * m + 0.3 * d
        v = 0.6 * v + 0.4 * d * d
        x += 0.1 * m / (math.sqrt(v) + 0.01)
    return x


def _yogi(changes: list[float]) -> float:
    x = m = v = 0.0
    for d in changes:
        m = 0.7 * m + 0.3 * d
        sign = (v > d * d) - (v < d * d)
        v = v - 0.4 * d * d * sign
        x += 0.1 * m / (math.sqrt(v) + 0.01)
    return x


RULES = [
    (Momentum(0.5, 0.8), _momentum),
    (Adaptive(0.1, 0.7, 0.6, 0.01), _adam),
    (Additive(0.1, 0.7, 0.6, 0.01), _yogi),
]
CHANGES = [0.3, -0.2, 0.0, 0.05, 0.4, -0.01]


@pytest.mark.parametrize(("rule", "slow"), RULES, ids=["momentum", "adam", "yogi"])
def test_each_number_moves_as_the_paper_says(
    rule: ServerRule, slow: Callable[[list[float]], float]
) -> None:
    scales = torch.tensor([1.0, -2.0, 0.001], dtype=torch.float64)
    model = {"w": torch.zeros(3, dtype=torch.float64)}
    state = at_rest(rule, model, ["w"])
    for change in CHANGES:
        mean = {"w": model["w"] + change * scales}
        model, state = stepped(rule, model, mean, state)
    wanted = [slow([c * float(s) for c in CHANGES]) for s in scales]
    assert model["w"].tolist() == pytest.approx(wanted, rel=1e-12)


def test_momentum_of_zero_at_full_rate_is_the_mean() -> None:
    before, mean = {"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, -1.0])}
    after, _ = stepped(Momentum(1.0, 0.0), before, mean, at_rest(Momentum(), before, ["w"]))
    assert torch.equal(after["w"], mean["w"])


@pytest.mark.parametrize("rule", [rule for rule, _ in RULES], ids=["momentum", "adam", "yogi"])
def test_what_is_not_stepped_is_that_of_the_mean(rule: ServerRule) -> None:
    before = {"w": torch.ones(2), "seen": torch.tensor(4), "running_var": torch.ones(2)}
    mean = {"w": torch.zeros(2), "seen": torch.tensor(6), "running_var": torch.full((2,), 0.5)}
    state = at_rest(rule, before, ["w"])
    after, remembered = stepped(rule, before, mean, state)
    assert after["seen"] is mean["seen"]
    assert after["running_var"] is mean["running_var"]
    assert set(remembered) == set(rule.remembers)
    assert all(set(of) == {"w"} for of in remembered.values())


def test_arguments_stay_as_they_are() -> None:
    before, mean = {"w": torch.ones(1)}, {"w": torch.zeros(1)}
    state = at_rest(Adaptive(), before, ["w"])
    stepped(Adaptive(), before, mean, state)
    assert float(before["w"]) == 1.0
    assert float(state["mean"]["w"]) == float(state["square"]["w"]) == 0.0
