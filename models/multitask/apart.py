"""Run the decoders of a network on shared features and keep their gradients apart.

What balances or projects the gradients of several tasks needs to see each of them; the plain step
in `step.py` adds them up. Decoders run one after another, forward and backward, so that only
one decoder's activations live at a time: a merged step needs the memory of a single task. Where the
architecture says that its decoders are small, they run side by side instead, which is faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from models.multitask.network import MultiTaskNet

Decoded = tuple[str, Tensor, Tensor]
"""Task, detached loss, gradient at the encoder's output."""


def decode_apart(
    net: MultiTaskNet,
    features: Tensor,
    targets: Mapping[str, Tensor],
    weights: Mapping[str, float] | None = None,
) -> Iterator[Decoded]:
    """Run each decoder forward and backward; yield task, detached loss and feature gradient.

    Gradients of weight × loss are added to the decoder's `.grad`; the yielded gradient is that of
    weight × loss in the encoder's output, and the receiver's own. The loss itself is not weighted.
    """
    way = _one_by_one if net.together is None else _side_by_side
    return way(net, features, targets, weights or {})


def _one_by_one(
    net: MultiTaskNet, features: Tensor, targets: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Iterator[Decoded]:
    for task in net.tasks:
        shared = features.detach().requires_grad_()
        loss = net.loss(task, net.decode(task, shared), targets[task])
        _weighted(loss, weights.get(task)).backward()  # type: ignore[no-untyped-call]
        yield task, loss.detach(), _gradient(shared)


def _side_by_side(
    net: MultiTaskNet, features: Tensor, targets: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Iterator[Decoded]:
    own = [features.detach().requires_grad_() for _ in net.tasks]
    predictions = dict(zip(net.tasks, net.decode_together(own), strict=True))
    losses = {task: net.loss(task, p, targets[task]) for task, p in predictions.items()}
    torch.autograd.backward([_weighted(loss, weights.get(t)) for t, loss in losses.items()])
    for (task, loss), shared in zip(losses.items(), own, strict=True):
        yield task, loss.detach(), _gradient(shared)


def _weighted(loss: Tensor, weight: float | None) -> Tensor:
    return loss if weight is None else weight * loss


def _gradient(shared: Tensor) -> Tensor:
    gradient = shared.grad
    assert gradient is not None
    return gradient


def scale_decoder(net: MultiTaskNet, task: str, factor: float) -> None:
    """Multiply the gradient of a decoder, which is that of its loss alone."""
    gradients = [p.grad for p in net.decoders[task].parameters() if p.grad is not None]
    torch._foreach_mul_(gradients, factor)
