"""fp16 keeps gradients that it could not hold; steps that overflow are left out and scale down."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from harness.workloads.multitask.affinity.measure import MeasuredStep
from harness.workloads.multitask.planning.plan import random_batch
from harness.workloads.multitask.training.steps import training_step
from models.execution import PLAIN, Execution
from models.loss_scaling import LEAST, START, GradientScale, GuardedSGD
from models.multitask.network import build
from models.multitask.optimizer import descent
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from tests.local_rules import LOCAL_RULES

FP16 = Execution("fp16", optimizer="fused")


def network(execution: Execution):
    return build(architecture("small"), "sdn", 0).execute_as(execution).train()


def gradients(net) -> dict[str, torch.Tensor]:
    return {name: p.grad.double().flatten() for name, p in net.named_parameters()}


@pytest.fixture(scope="module")
def batch():
    images, targets = random_batch("sdn", 4, 32)
    return images, dict(targets)


@pytest.mark.parametrize("rule", LOCAL_RULES, ids=lambda rule: type(rule).__name__)
def test_under_every_rule_fp16_gradients_are_those_of_fp32(rule, batch) -> None:
    """Whatever reads gradients between the layers sees them unscaled: length 1, not 4096."""
    found = {}
    for execution in (PLAIN, FP16):
        net = network(execution)
        step = training_step(net, rule, np.random.default_rng(0))
        losses = step(*batch)
        found[execution.precision] = gradients(net), losses
    (plain, exact), (half, losses) = found["fp32"], found["fp16"]
    ours, theirs = (torch.cat(list(those.values())) for those in (half, plain))
    assert float(ours @ theirs / ours.norm() / theirs.norm()) > 0.995
    assert float(ours.norm() / theirs.norm()) == pytest.approx(1.0, abs=0.01)
    for task in exact:
        assert float(losses[task]) == pytest.approx(float(exact[task]), rel=0.01)


def test_a_measured_step_has_the_gradients_of_the_step_to_the_last_bit(batch) -> None:
    net, other = network(FP16), network(FP16)
    accumulate_gradients(net, *batch)
    MeasuredStep(other, batch).apart()
    for name, gradient in gradients(net).items():
        assert torch.equal(gradient, gradients(other)[name]), name


class Half(nn.Module):
    """Pass gradients through fp16, as a layer under autocast does."""

    def forward(self, x):
        return x.half().float()


def test_a_gradient_below_the_smallest_of_fp16_survives() -> None:
    """2⁻²⁶ is nothing in fp16, whose smallest number is 2⁻²⁴; scaled by 2¹² it is held exactly."""
    weight = nn.Parameter(torch.tensor([1.0]))
    tiny = torch.tensor([2.0**-26])
    lost = weight * 1.0
    Half()(lost).backward(tiny)
    assert float(weight.grad) == 0.0
    weight.grad = None
    scale = GradientScale([weight])
    scale.leaving(Half()(weight * 1.0)).backward(tiny)
    assert float(weight.grad) == 2.0**-26
    scale.remove()
    weight.grad = None
    (weight * 3.0).backward()
    assert float(weight.grad) == 3.0


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_that_overflows_is_left_out_and_halves_the_scale(fused) -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    other = nn.Parameter(torch.tensor([5.0]))
    scale = GradientScale([weight, other])
    optimizer = GuardedSGD([weight, other], scale, lr=0.5, momentum=0.9, fused=fused)
    weight.grad, other.grad = torch.tensor([1.0, float("inf")]), torch.tensor([1.0])
    optimizer.step()
    assert (weight.tolist(), other.tolist()) == ([1.0, 2.0], [5.0])
    assert float(scale.value) == START / 2
    assert float(scale.inverse) == 2 / START
    weight.grad = torch.tensor([1.0, 2.0])
    optimizer.step()
    assert (weight.tolist(), other.tolist()) == ([0.5, 1.0], [4.5])  # no velocity from before
    assert float(scale.value) == START / 2
    GuardedSGD([weight], scale, lr=0.5, fused=fused)  # of the next round
    assert float(scale.value) == START
    for _ in range(40):
        weight.grad = torch.tensor([float("nan"), 0.0])
        optimizer.step()
    assert float(scale.value) == LEAST


def test_only_fp16_has_a_scale_and_a_network_in_it_is_not_copied() -> None:
    net = network(FP16)
    assert isinstance(descent(net, FP16, lr=0.1), GuardedSGD)
    with pytest.raises(TypeError, match="fp16 cannot be copied"):
        pickle.dumps(net)
    net.execute_as(replace(FP16, precision="bf16"))
    assert net.scale is None
    assert type(descent(net, PLAIN, lr=0.1)) is torch.optim.SGD


def test_going_back_to_fp32_leaves_no_scale_behind(batch) -> None:
    plain, net = network(PLAIN), network(FP16).execute_as(PLAIN)
    accumulate_gradients(plain, *batch)
    accumulate_gradients(net, *batch)
    for name, gradient in gradients(plain).items():
        assert torch.equal(gradient, gradients(net)[name]), name
