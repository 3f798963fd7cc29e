"""Every client starts with an optimizer that remembers nothing of the client before."""

from __future__ import annotations

import copy

import pytest
import torch

from models.execution import CHOICES, parse_execution
from models.multitask.network import MultiTaskNet, build
from models.multitask.optimizer import descent
from models.multitask.registry import architecture


def net() -> MultiTaskNet:
    """Return a small network with gradients."""
    found = build(architecture("small"), "k", 0)
    draw = torch.Generator().manual_seed(0)
    for weight in found.weights():
        weight.grad = torch.randn(weight.shape, generator=draw)
    return found


@pytest.mark.parametrize("kind", CHOICES["optimizer"])
def test_an_optimizer_asked_for_again_steps_as_a_new_one_of_torch(kind: str) -> None:
    """Neither momentum, nor rate, nor Nesterov's rule is left over, to the last bit."""
    ours, execution = net(), parse_execution(kind)
    before = descent(ours, execution, lr=0.7, momentum=0.8, weight_decay=0.1, nesterov=True)
    before.step()
    theirs = copy.deepcopy(ours)
    for mine, other in zip(ours.weights(), theirs.weights(), strict=True):
        assert mine.grad is not None
        other.grad = mine.grad.clone()
    plain = torch.optim.SGD(
        list(theirs.parameters()), lr=0.1, momentum=0.9,
        foreach=kind == "foreach", fused=kind == "fused",
    )  # fmt: skip
    again = descent(ours, execution, lr=0.1, momentum=0.9)
    for _ in range(3):
        again.step()
        plain.step()
    for mine, other in zip(ours.weights(), theirs.weights(), strict=True):
        assert torch.equal(mine, other)


def test_weights_put_elsewhere_get_an_optimizer_of_their_own() -> None:
    """After a network was given another layout, its optimizer moves the weights it has now."""
    ours = net()
    descent(ours, parse_execution("plain"), lr=0.1)
    ours.execute_as(parse_execution("contiguous"))
    optimizer = descent(ours, ours.execution, lr=0.1)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in ours.parameters()}


@pytest.mark.parametrize("kind", CHOICES["optimizer"])
def test_without_momentum_nesterovs_step_is_the_plain_one(kind: str) -> None:
    one, other = net(), net()
    for own, nesterov in ((one, True), (other, False)):
        optimizer = descent(own, parse_execution(kind), lr=0.1, momentum=0.0, nesterov=nesterov)
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(one.weights(), other.weights(), strict=True))
