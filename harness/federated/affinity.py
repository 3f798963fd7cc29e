"""Measure how one task's update changes another task's loss.

TAG (Fifty et al., NeurIPS 2021), equation 1, used by MAS: with one batch X, encoder weights θ and
decoders left as they are,

    θ[i] = θ − η ∇θ L_i(X; θ)            Z[i→j] = 1 − L_j(X; θ[i]) / L_j(X; θ)

Z > 0 says that i's step helps j. Matrices here have the recipient j in the row and the source i in
the column. The look-ahead is pure: it works on copies and changes no weight, gradient, optimizer
state, batch-norm statistic or random state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from models.network import MultiTaskNet

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class RoundAffinity:
    """Hold one round: mean over its clients, spread between them, look-aheads counted."""

    round: int
    mean: Matrix
    std: Matrix
    count: int


@dataclass(frozen=True)
class Affinity:
    """Collect the affinities of a job, recipients in rows, in the order of `tasks`."""

    tasks: str
    rounds: tuple[RoundAffinity, ...]

    @property
    def mean(self) -> Matrix:
        """Return the mean over rounds, each counting alike."""
        mean: Matrix = np.stack([r.mean for r in self.rounds]).mean(axis=0)
        return mean


def combine_clients(round_index: int, clients: Sequence[Sequence[Matrix]]) -> RoundAffinity:
    """Average the look-aheads of a round: within each client first, then over clients, unweighted.

    Negative values are kept as they are. The spread is NaN for a single client.
    """
    means = np.array([np.mean(matrices, axis=0) for matrices in clients])
    std = means.std(axis=0, ddof=1) if len(means) > 1 else np.full(means.shape[1:], np.nan)
    return RoundAffinity(round_index, means.mean(axis=0), std, sum(map(len, clients)))


def look_ahead(
    net: MultiTaskNet,
    images: Tensor,
    targets: Mapping[str, Tensor],
    learning_rate: float,
    weight_decay: float = 0.0,
) -> Matrix:
    """Return Z on one batch: entry [j, i] is the effect of task i's encoder step on task j.

    The step is the optimizer's without momentum: θ − η (g_i + weight_decay·θ), with g_i scaled like
    the real encoder gradient (`net.encoder_gradient_scale`).
    """
    parameters = dict(net.encoder.named_parameters())
    weights = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    features = _call(net.encoder, weights, images)
    losses, gradients = _per_task_gradients(net, features, targets)
    result = np.empty((len(net.tasks), len(net.tasks)))
    for column, gradient in enumerate(gradients):
        steps = torch.autograd.grad(
            features,
            list(weights.values()),
            gradient * net.encoder_gradient_scale,
            retain_graph=True,
        )
        with torch.no_grad():
            moved = {
                name: w - learning_rate * (g + weight_decay * w)
                for (name, w), g in zip(weights.items(), steps, strict=True)
            }
            after = _losses(net, _call(net.encoder, moved, images), targets)
        result[:, column] = [1.0 - after[t] / losses[t] for t in net.tasks]
    return result


def _call(module: nn.Module, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Run a module with other weights and with copies of its buffers, which it may then change."""
    buffers = {name: b.clone() for name, b in module.named_buffers()}
    output: Tensor = functional_call(module, {**weights, **buffers}, (x,))
    return output


def _decode(net: MultiTaskNet, task: str, features: Tensor) -> Tensor:
    decoder = net.decoders[task]
    frozen = {name: p.detach() for name, p in decoder.named_parameters()}
    return _call(decoder, frozen, features)


def _losses(net: MultiTaskNet, features: Tensor, targets: Mapping[str, Tensor]) -> dict[str, float]:
    return {t: float(net.loss(t, _decode(net, t, features), targets[t])) for t in net.tasks}


def _per_task_gradients(
    net: MultiTaskNet, features: Tensor, targets: Mapping[str, Tensor]
) -> tuple[dict[str, float], Iterable[Tensor]]:
    shared = features.detach().requires_grad_()
    losses: dict[str, float] = {}
    gradients: list[Tensor] = []
    for task in net.tasks:
        loss = net.loss(task, _decode(net, task, shared), targets[task])
        gradients += torch.autograd.grad(loss, shared)
        losses[task] = loss.item()
    return losses, gradients
