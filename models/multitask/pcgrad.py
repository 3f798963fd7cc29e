"""Project conflicting task gradients (PCGrad, Yu et al., NeurIPS 2020) in a merged network.

Each task's gradient of the encoder loses, for every other task in random order, its component along
that task's original gradient if the two point against each other; the encoder then follows the sum.
Decoders belong to one task each and are trained as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from models.multitask.apart import decode_apart
from models.multitask.network import MultiTaskNet


class ProjectedStep:
    """Accumulate projected encoder gradients; one encoder backward per task."""

    def __init__(self, net: MultiTaskNet, order: np.random.Generator) -> None:
        self._net = net
        self._order = order

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add decoder gradients and the projected encoder gradient to `.grad`; return losses."""
        net = self._net
        features = net.encode(images)
        parts = list(decode_apart(net, features, targets))
        parameters = list(net.encoder.parameters())
        flat = [
            _flat(
                torch.autograd.grad(
                    features,
                    parameters,
                    gradient * net.encoder_gradient_scale,
                    retain_graph=index + 1 < len(parts),
                )
            )
            for index, (_, _, gradient) in enumerate(parts)
        ]
        _add(parameters, projected_sum(flat, self._order))
        return {task: loss for task, loss, _ in parts}


def projected_sum(gradients: Sequence[Tensor], order: np.random.Generator) -> Tensor:
    """Return the sum of the gradients (vectors), each projected off those that oppose it."""
    squares = [gradient.dot(gradient) for gradient in gradients]
    total = torch.zeros_like(gradients[0])
    for i, gradient in enumerate(gradients):
        own = gradient.clone()
        for j in order.permutation(len(gradients)):
            along = own.dot(gradients[j])
            if j != i and along < 0:
                own -= along / squares[j] * gradients[j]
        total += own
    return total


def _flat(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


def _add(parameters: Sequence[Tensor], gradient: Tensor) -> None:
    """Add the pieces of a flat gradient to the parameters' `.grad`."""
    start = 0
    for parameter in parameters:
        piece = gradient[start : start + parameter.numel()].view_as(parameter)
        parameter.grad = piece.clone() if parameter.grad is None else parameter.grad + piece
        start += parameter.numel()
