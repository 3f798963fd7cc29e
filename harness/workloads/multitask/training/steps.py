"""Choose the training step that a job's local rule stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from torch import Tensor

from harness.federated.random_streams import child_stream
from harness.workloads.multitask.training.local_rule import Balanced, GradNorm, LocalRule, Proximal
from models.multitask.balance import BalancedStep
from models.multitask.gradnorm import GradNormStep
from models.multitask.network import MultiTaskNet
from models.multitask.pcgrad import ProjectedStep
from models.multitask.proximal import ProximalStep
from models.multitask.step import accumulate_gradients

Step = Callable[[Tensor, Mapping[str, Tensor]], dict[str, Tensor]]
"""Adds the gradients of one batch to the parameters and returns each task's detached loss."""


def training_step(net: MultiTaskNet, rule: LocalRule | None, order: np.random.Generator) -> Step:
    """Return the step for one client's round; what it remembers ends with it.

    Randomness comes from a child of `order`, so the order of batches is the same under every rule.
    """
    if rule is None:
        return partial(accumulate_gradients, net)
    if isinstance(rule, Proximal):
        return ProximalStep(net, rule.mu)
    if isinstance(rule, GradNorm):
        return GradNormStep(net, rule.alpha, rule.step)
    if isinstance(rule, Balanced):
        return BalancedStep(net, rule.detail)
    return ProjectedStep(net, child_stream(order))
