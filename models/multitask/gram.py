"""Train a merged network on a sum of task gradients weighted by their inner products.

`models.multitask.gram_weights` finds the weights. The gradients are those of the encoder's
parameters, one backward pass a task, as in the papers; or `at` the features, where they fall off
the ordinary step and n² inner products are all that is added. The latter is not what the papers
do, and the published code of CAGrad, Nash-MTL and FairGrad forbids it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from models.multitask.apart import decode_apart, scale_decoder
from models.multitask.balance import added
from models.multitask.gram_weights import WEIGH_DECODERS, gram_weights
from models.multitask.network import MultiTaskNet
from models.multitask.weighting import GramRule

AT_ONCE = 1 << 20
"""Columns whose inner products are taken at once."""


class GramStep:
    """Accumulate weighted gradients; decoders are weighted only where the rule's paper does."""

    def __init__(self, net: MultiTaskNet, rule: GramRule) -> None:
        self._net = net
        self._rule = rule

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add the gradients to `.grad`, which are to be empty; return each task's loss."""
        net, rule = self._net, self._rule
        features = net.encode(images)
        parts = list(decode_apart(net, features, targets))
        apart = [gradient for _, _, gradient in parts]
        rows = self._rows(features, apart)
        products = gram(rows)
        if rule.at == "features":  # lengths there say nothing of steps: α would be a rate
            products /= max(float(np.linalg.norm(products)), 1e-300)
        weights = gram_weights(rule.name, products, rule.number)
        if rule.name in WEIGH_DECODERS:
            for task, weight in zip(net.tasks, weights, strict=True):
                scale_decoder(net, task, float(weight))
        if rule.at == "features":
            total = added([g * float(w) for g, w in zip(apart, weights, strict=True)])
            features.backward(total.mul_(net.encoder_gradient_scale))  # type: ignore[no-untyped-call]
        else:
            kind = rows.new_tensor(weights) * net.encoder_gradient_scale
            set_gradient(list(net.encoder.parameters()), kind @ rows)
        if rule.most_norm:
            torch.nn.utils.clip_grad_norm_(list(net.encoder.parameters()), rule.most_norm)
        return {task: loss for task, loss, _ in parts}

    def _rows(self, features: Tensor, apart: Sequence[Tensor]) -> Tensor:
        if self._rule.at == "features":
            return torch.stack([gradient.reshape(-1) for gradient in apart])
        return encoder_gradients(self._net, features, apart)


def encoder_gradients(net: MultiTaskNet, features: Tensor, apart: Sequence[Tensor]) -> Tensor:
    """Return each task's gradient in all encoder parameters, unscaled, as a row."""
    parameters = list(net.encoder.parameters())
    rows = features.new_empty(len(apart), sum(p.numel() for p in parameters))
    for index, gradient in enumerate(apart):
        pieces = torch.autograd.grad(
            features, parameters, gradient, retain_graph=index + 1 < len(apart)
        )
        torch.cat([piece.reshape(-1) for piece in pieces], out=rows[index])
    return rows


def gram(rows: Tensor) -> np.ndarray:
    """Return the inner products of rows, added in float64: rules take small eigenvalues for facts.

    Long rows are taken in parts, so that no copy of all is made.
    """
    found = rows.new_zeros((len(rows), len(rows)), dtype=torch.float64)
    for part in torch.split(rows, AT_ONCE, dim=1):
        exact = part.double()
        found += exact @ exact.T
    products: np.ndarray = found.cpu().numpy()
    return products


def set_gradient(parameters: Sequence[Tensor], gradient: Tensor) -> None:
    """Put the pieces of a flat gradient into the parameters' `.grad`."""
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, piece in zip(parameters, torch.split(gradient, sizes), strict=True):
        parameter.grad = piece.view(parameter.shape).clone(memory_format=torch.contiguous_format)
