"""Choose the training step that a job's local rule stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from torch import Tensor

from harness.federated.random_streams import child_stream
from harness.workloads.multitask.training.local_rule import (
    GradNorm,
    LocalRule,
    ProjectedGradients,
    Proximal,
)
from models.multitask.balance import BalancedStep
from models.multitask.dual_balance import DualBalancedStep
from models.multitask.gradnorm import GradNormStep
from models.multitask.gram import GramStep
from models.multitask.network import MultiTaskNet
from models.multitask.pcgrad import ProjectedStep
from models.multitask.proximal import ProximalStep
from models.multitask.step import accumulate_gradients
from models.multitask.weighted import FamoStep, UncertaintyStep, WeightedStep
from models.multitask.weighting import (
    Balanced,
    DualBalanceRule,
    FamoRule,
    FixedWeights,
    GramRule,
    UncertaintyRule,
    Weighting,
    carries,
)

Step = Callable[[Tensor, Mapping[str, Tensor]], dict[str, Tensor]]
"""Adds the gradients of one batch to the parameters and returns each task's detached loss."""

LOOK_AHEAD = "a look-ahead"
"""Why a step is launched kernel by kernel: it has the gradients of every task apart."""


def launched_singly(rule: LocalRule | None, *, guided: bool) -> str:
    """Return why no graph holds a client's steps; empty if one does.

    Rules draw, or ask the device, in between; what a server sends beside the model comes anew every
    round.
    """
    if rule is not None:
        return f"steps of {type(rule).__name__}"
    return "what the server sends beside the model" if guided else ""


def training_step(net: MultiTaskNet, rule: LocalRule | None, order: np.random.Generator) -> Step:
    """Return the step for one client's round; what does not travel with the net ends with it.

    Randomness comes from a child of `order`, so the order of batches is the same under every rule.
    """
    if rule is None:
        return partial(accumulate_gradients, net)
    if isinstance(rule, Proximal):
        return ProximalStep(net, rule.mu)
    if isinstance(rule, GradNorm):
        return GradNormStep(net, rule.alpha, rule.step)
    if isinstance(rule, Balanced):
        return BalancedStep(net, rule)
    if isinstance(rule, ProjectedGradients):
        return ProjectedStep(net, child_stream(order))
    return _weighing(net, rule)


def _weighing(net: MultiTaskNet, rule: Weighting) -> Step:
    if isinstance(rule, FixedWeights):
        return WeightedStep(net, rule.weights)
    if isinstance(rule, GramRule):
        return GramStep(net, rule)
    state = net.carried() if carries(rule) else _beginning(net, rule)
    if isinstance(rule, UncertaintyRule):
        return UncertaintyStep(net, rule.rate, state)
    if isinstance(rule, FamoRule):
        return FamoStep(net, rule, state)
    return DualBalancedStep(net, rule, state)


def carrying(net: MultiTaskNet, rule: LocalRule | None) -> MultiTaskNet:
    """Let what a rule remembers travel with a network; return the network."""
    return net.carry(_beginning(net, rule)) if carries(rule) else net


def _beginning(net: MultiTaskNet, rule: LocalRule | None) -> dict[str, Tensor]:
    if isinstance(rule, UncertaintyRule):
        return UncertaintyStep.start(net)
    if isinstance(rule, FamoRule):
        return FamoStep.start(net)
    return DualBalancedStep.start(net) if isinstance(rule, DualBalanceRule) else {}
