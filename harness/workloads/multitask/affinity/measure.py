"""Measure how one task's update changes another task's loss.

TAG (Fifty et al., NeurIPS 2021), equation 1, used by MAS: with one batch X, encoder weights θ and
decoders left as they are,

    θ[i] = θ − η ∇θ L_i(X; θ)            Z[i→j] = 1 − L_j(X; θ[i]) / L_j(X; θ)

`exact` does just that. `linear` is its limit for small steps, Z[i→j] ≈ η ⟨∇θ L_i, ∇θ L_j⟩ / L_j,
over all of θ, and needs no forward pass: the first layers hold few parameters, but much of the
products. A step as long as training takes overshoots, so that its entries, a task's own above all,
are larger than the exact ones. Both need the encoder gradient of every task apart, and the training
step needs their sum: n backward passes of the encoder give all of them. The sum is the training
step's own pass, so that training with and without measuring is the same to the last bit; one task's
gradient is what the others leave of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from harness.workloads.multitask.affinity.matrix import Matrix
from harness.workloads.multitask.training.batches import Batch
from models.multitask.apart import decode_apart
from models.multitask.balance import added, balanced
from models.multitask.network import MultiTaskNet
from models.multitask.weighting import Balanced

Gradient = Sequence[Tensor]
"""One tensor per encoder parameter."""


@dataclass(frozen=True)
class LookAhead:
    """Fix the step that is tried: θ − η·(g_i + weight_decay·θ + momentum·v).

    g_i is scaled like the real encoder gradient (`net.encoder_gradient_scale`); v is the
    optimizer's velocity, which is read and never changed. `moves_statistics` lets the batch-norm
    statistics of the network see the forward passes of `exact`, as in the published code.
    """

    learning_rate: float
    weight_decay: float = 0.0
    momentum: float = 0.0
    mode: str = "exact"
    moves_statistics: bool = False


@dataclass(frozen=True)
class Apart:
    """Hold what one batch gives for every task: its loss and its scaled encoder gradient.

    Beside the scale that all gradients share, balanced training scales each by one of `factors`,
    empty if there are none. Losses are `rounded` if they come from passes in less than fp32. In
    place of the gradient of task `summed` may stand the sum of all, from which it is what the
    others leave.
    """

    losses: Mapping[str, float]
    gradients: Sequence[Gradient]
    factors: Sequence[float] = ()
    rounded: bool = False
    summed: int | None = None


def look_ahead(
    net: MultiTaskNet, batch: Batch, ahead: LookAhead, velocity: Gradient | None = None
) -> Matrix:
    """Return Z on one batch: entry [j, i] is the effect of task i's encoder step on task j.

    Works on copies: no weight, gradient, optimizer state or random state changes, and no batch-norm
    statistic unless `moves_statistics` says so.
    """
    images, targets = batch
    parameters = dict(net.encoder.named_parameters())
    weights = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    features = _call(net.encoder, weights, images)
    used = list(weights.values())
    losses: dict[str, float] = {}
    gradients: list[Gradient] = []
    for index, task in enumerate(net.tasks):
        shared = features.detach().requires_grad_()
        loss = net.loss(task, _decode(net, task, shared), targets[task])
        (gradient,) = torch.autograd.grad(loss, shared)
        losses[task] = loss.item()
        keep = index + 1 < len(net.tasks)
        gradients.append(_backward(net, features, used, gradient, keep=keep))
    return affinity(net, batch, ahead, Apart(losses, gradients), velocity)


class MeasuredStep:
    """Train on one batch and keep what a look-ahead on it needs.

    The gradients are those of `models.multitask.step.accumulate_gradients`, or with a `rule` of
    `models.multitask.balance.BalancedStep`, bit for bit.
    """

    def __init__(self, net: MultiTaskNet, batch: Batch, rule: Balanced | None = None) -> None:
        """Run the training step's passes: encoder and decoders forward and backward."""
        self._net = net
        images, targets = batch
        self._features = net.encode(images)
        self.losses: dict[str, Tensor] = {}
        self._apart: list[Tensor] = []
        for task, loss, gradient in decode_apart(net, self._features, targets):
            self.losses[task] = loss
            self._apart.append(gradient)
        self._factors: list[float] = []
        if rule is not None:
            scales = balanced(net, self._apart, self.losses, rule)
            self._factors = scales.tolist()
            self._apart = [g * f for g, f in zip(self._apart, scales, strict=True)]
        total = added(self._apart)
        self._parameters = list(net.encoder.parameters())
        self._total = _backward(net, self._features, self._parameters, total, keep=True)
        for parameter, gradient in zip(self._parameters, self._total, strict=True):
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def apart(self, *, with_sum: bool = False) -> Apart:
        """Return losses and gradients of every task after n − 1 more backward passes.

        The task with the largest gradient is the one got by subtraction, as rounding matters least
        there. `with_sum` leaves that to who has all of them in one vector, where it is cheaper.
        """
        norms = [float(gradient.norm()) for gradient in self._apart]
        largest = int(np.argmax(norms))
        rest = [] if with_sum else [gradient.clone() for gradient in self._total]
        found: dict[int, Gradient] = {}
        others = [index for index in range(len(norms)) if index != largest]
        for index in others:
            found[index] = _backward(
                self._net, self._features, self._parameters, self._apart[index],
                keep=index != others[-1],
            )  # fmt: skip
            for left, gradient in zip(rest, found[index] if rest else (), strict=True):
                left.sub_(gradient)
        found[largest] = rest or self._total
        losses = {task: float(loss) for task, loss in self.losses.items()}
        gradients = [found[i] for i in range(len(norms))]
        summed = largest if with_sum else None
        return Apart(losses, gradients, self._factors, self._net.execution.reduced, summed)


def velocity_of(net: MultiTaskNet, optimizer: torch.optim.Optimizer) -> Gradient | None:
    """Return the momentum buffers of the encoder; None before the first step of an optimizer."""
    buffers = [optimizer.state[p].get("momentum_buffer") for p in net.encoder.parameters()]
    return None if any(buffer is None for buffer in buffers) else buffers


def affinity(
    net: MultiTaskNet,
    batch: Batch,
    ahead: LookAhead,
    apart: Apart,
    velocity: Gradient | None = None,
) -> Matrix:
    """Return Z from the losses and gradients of a batch; `velocity` is used with momentum only."""
    parameters = [p.detach() for p in net.encoder.parameters()]
    moving = velocity if ahead.momentum else None
    if ahead.mode == "linear":
        drifting = ahead.weight_decay * torch.cat(_pieces(parameters))
        if moving is not None:
            drifting += ahead.momentum * torch.cat(_pieces(moving))
        return _linear(net, ahead.learning_rate, apart, drifting)
    drift = [ahead.weight_decay * p for p in parameters]
    if moving is not None:
        drift = [d + ahead.momentum * v for d, v in zip(drift, moving, strict=True)]
    names = [name for name, _ in net.encoder.named_parameters()]
    before = apart.losses
    if apart.rounded:  # a step's effect is smaller than what coarse rounding changes
        with torch.no_grad():
            own = dict(zip(names, parameters, strict=True))
            before = _losses(net, own, batch, moves_statistics=False)
    result = np.empty((len(net.tasks), len(net.tasks)))
    for column, gradient in enumerate(apart.gradients):
        with torch.no_grad():
            moved = {
                name: p - ahead.learning_rate * (g + d)
                for name, p, g, d in zip(names, parameters, gradient, drift, strict=True)
            }
            after = _losses(net, moved, batch, moves_statistics=ahead.moves_statistics)
        result[:, column] = [_effect(before[t], after[t]) for t in net.tasks]
    return result


def _effect(before: float, after: float) -> float:
    """Return the share of a loss that a step takes away; a batch without labels shows none."""
    return 1.0 - after / before if before else 0.0


def _linear(net: MultiTaskNet, learning_rate: float, apart: Apart, drift: Tensor) -> Matrix:
    """Return η ⟨g_i + drift, ∇L_j⟩ / L_j; the gradients at hand are scaled, ∇L_j is not.

    A task whose batch has no labels shows no effect.
    """
    flat = drift.new_empty(len(apart.gradients), drift.numel())
    for row, gradient in zip(flat, apart.gradients, strict=True):
        torch.cat(_pieces(gradient), out=row)
    if apart.summed is not None:
        for index, row in enumerate(flat):
            if index != apart.summed:
                flat[apart.summed].sub_(row)
    products = (flat @ flat.T + (flat @ drift).unsqueeze(1)).double().cpu().numpy()
    losses = np.array([apart.losses[task] for task in net.tasks])
    own_scale = np.array(apart.factors) if apart.factors else np.ones_like(losses)
    divisor = (losses * own_scale)[:, None]
    slope = learning_rate / net.encoder_gradient_scale * products
    result: Matrix = np.divide(slope, divisor, out=np.zeros_like(slope), where=divisor != 0.0)
    return result


def _pieces(gradient: Gradient) -> list[Tensor]:
    """Return each piece as a vector, in the order in which convolutions keep it in memory."""
    return [(g.permute(0, 2, 3, 1) if g.dim() == 4 else g).reshape(-1) for g in gradient]


def _backward(
    net: MultiTaskNet,
    features: Tensor,
    parameters: Sequence[Tensor],
    gradient: Tensor,
    *,
    keep: bool,
) -> Gradient:
    """Return the encoder gradients of a gradient of the features, scaled."""
    return torch.autograd.grad(
        features, parameters, gradient * net.encoder_gradient_scale, retain_graph=keep
    )


def _call(
    module: nn.Module, weights: Mapping[str, Tensor], x: Tensor, *, moves_statistics: bool = False
) -> Tensor:
    """Run a module with other weights, and with copies of its buffers unless they may change."""
    buffers = {} if moves_statistics else {n: b.clone() for n, b in module.named_buffers()}
    output: Tensor = functional_call(module, {**weights, **buffers}, (x,))
    return output


def _decode(
    net: MultiTaskNet, task: str, features: Tensor, *, moves_statistics: bool = False
) -> Tensor:
    decoder = net.decoders[task]
    frozen = {name: p.detach() for name, p in decoder.named_parameters()}
    return _call(decoder, frozen, features, moves_statistics=moves_statistics)


def _losses(
    net: MultiTaskNet, weights: Mapping[str, Tensor], batch: Batch, *, moves_statistics: bool
) -> dict[str, float]:
    """Return every task's loss with other encoder weights."""
    images, targets = batch
    features = _call(net.encoder, weights, images, moves_statistics=moves_statistics)
    return {
        task: float(
            net.loss(
                task,
                _decode(net, task, features, moves_statistics=moves_statistics),
                targets[task],
            )
        )
        for task in net.tasks
    }
