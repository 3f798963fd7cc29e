"""Weigh task losses: by fixed weights, by uncertainty, by FAMO.

Sources: fixed weights as in Σ w_i·L_i; uncertainty weighting, Kendall et al., CVPR 2018; FAMO, Liu
et al., NeurIPS 2023. None needs more than the ordinary backward pass. What a rule remembers is in
tensors that it changes in place, so that they can travel with the model.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

import numpy as np
import torch
from torch import Tensor

from models.multitask.apart import decode_apart, scale_decoder
from models.multitask.balance import SMALLEST, added
from models.multitask.network import MultiTaskNet
from models.multitask.weighting import FamoRule

State = MutableMapping[str, Tensor]

FIRST_MOMENT, SECOND_MOMENT = 0.9, 0.999
"""Decays of Adam (Kingma and Ba, ICLR 2015), by which FAMO moves its weights."""


class WeightedStep:
    """Accumulate the gradients of Σ w_i·L_i with weights that stay."""

    def __init__(self, net: MultiTaskNet, weights: Mapping[str, float]) -> None:
        self._net = net
        self.weights = dict(weights)

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add the gradients to `.grad`; return each task's unweighted loss."""
        features = self._net.encode(images)
        parts = list(decode_apart(self._net, features, targets, self.weights))
        total = added([gradient for _, _, gradient in parts])
        features.backward(total.mul_(self._net.encoder_gradient_scale))  # type: ignore[no-untyped-call]
        return {task: loss for task, loss, _ in parts}


class UncertaintyStep:
    """Accumulate the gradients of Σ L_i/(2·e^s_i) + s_i/2 and let every s_i descend on it.

    s_i, the logarithm of a variance, takes plain steps of its own `rate`: networks here learn at
    rates at which it would swing.
    """

    def __init__(self, net: MultiTaskNet, rate: float, state: State) -> None:
        self._net = net
        self._rate = rate
        self._state = state

    @staticmethod
    def start(net: MultiTaskNet) -> dict[str, Tensor]:
        """Return s_i = −0.5 for every task, as in LibMTL."""
        return {"log_variances": torch.full((len(net.tasks),), -0.5)}

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add the gradients to `.grad`; return each task's unweighted loss."""
        s = self._state["log_variances"]
        halves = (0.5 * torch.exp(-s)).tolist()
        weights = dict(zip(self._net.tasks, halves, strict=True))
        losses = WeightedStep(self._net, weights)(images, targets)
        seen = torch.stack([losses[task] for task in self._net.tasks]).to(s)
        slope = 0.5 - seen * 0.5 * torch.exp(-s)
        s.sub_(torch.where(seen > 0, slope, torch.zeros_like(s)), alpha=self._rate)
        return losses


class FamoStep:
    """Accumulate the gradients of Σ z_i·log(L_i)/c, c = Σ z_i/L_i, z = softmax(ξ)."""

    def __init__(self, net: MultiTaskNet, rule: FamoRule, state: State) -> None:
        self._net = net
        self._rule = rule
        self._state = state
        self._batch: tuple[Tensor, Mapping[str, Tensor]] | None = None
        self._before: np.ndarray | None = None

    @staticmethod
    def start(net: MultiTaskNet) -> dict[str, Tensor]:
        """Return ξ = 0, both moments of Adam and the steps taken."""
        zeros = [torch.zeros(len(net.tasks)) for _ in range(3)]
        names = ("logits", "first_moments", "second_moments")
        return {**dict(zip(names, zeros, strict=True)), "steps": torch.zeros((), dtype=torch.int64)}

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add the gradients to `.grad`, which are to be empty; return each unweighted loss."""
        net = self._net
        features = net.encode(images)
        parts = list(decode_apart(net, features, targets))
        losses = np.array([float(loss) for _, loss, _ in parts])
        if not self._rule.again:
            self._move(losses)
        self._before = losses
        self._batch = (images, targets) if self._rule.again else None
        weights = famo_weights(self._state["logits"].double().cpu().numpy(), losses)
        for task, weight in zip(net.tasks, weights, strict=True):
            scale_decoder(net, task, float(weight))
        total = added([g * float(w) for (_, _, g), w in zip(parts, weights, strict=True)])
        features.backward(total.mul_(net.encoder_gradient_scale))  # type: ignore[no-untyped-call]
        if self._rule.most_norm:
            torch.nn.utils.clip_grad_norm_(list(net.encoder.parameters()), self._rule.most_norm)
        return {task: loss for task, loss, _ in parts}

    def stepped(self) -> None:
        """Look at the losses of the same batch after the optimizer's step, and move ξ."""
        if self._batch is not None:
            self._move(losses_now(self._net, *self._batch))
            self._before, self._batch = None, None

    def _move(self, after: np.ndarray) -> None:
        if self._before is None:
            return
        state, rule = self._state, self._rule
        logits, first, second = (
            state[name].double().cpu().numpy()
            for name in ("logits", "first_moments", "second_moments")
        )
        state["steps"] += 1
        steps = int(state["steps"])
        slope = famo_slope(logits, self._before, after) + rule.decay * logits
        first = FIRST_MOMENT * first + (1.0 - FIRST_MOMENT) * slope
        second = SECOND_MOMENT * second + (1.0 - SECOND_MOMENT) * slope**2
        size = np.sqrt(second / (1.0 - SECOND_MOMENT**steps)) + 1e-8
        logits = logits - rule.rate * first / (1.0 - FIRST_MOMENT**steps) / size
        moved = {"logits": logits, "first_moments": first, "second_moments": second}
        for name, value in moved.items():
            state[name].copy_(torch.from_numpy(value))


def famo_weights(logits: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return z_i/(L_i·c), which sum to 1; a task without labels has no weight."""
    z = np.exp(logits - logits.max())
    weights: np.ndarray = np.where(losses > 0.0, z / (losses + SMALLEST), 0.0)
    total = float(weights.sum())
    return weights / total if total else weights


def famo_slope(logits: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return Jᵀδ with J that of softmax at ξ and δ_i = log L_i(before) − log L_i(after)."""
    z = np.exp(logits - logits.max())
    z = z / z.sum()
    labelled = (before > 0.0) & (after > 0.0)
    fall = np.where(labelled, np.log(before + SMALLEST) - np.log(after + SMALLEST), 0.0)
    slope: np.ndarray = z * (fall - float(z @ fall))
    return slope


def losses_now(net: MultiTaskNet, images: Tensor, targets: Mapping[str, Tensor]) -> np.ndarray:
    """Return every task's loss on a batch in training mode; no statistic of the network moves."""
    buffers = list(net.buffers())
    kept = [buffer.clone() for buffer in buffers]
    with torch.no_grad():
        features = net.encode(images)
        found = [
            float(net.loss(task, net.decode(task, features), targets[task])) for task in net.tasks
        ]
        for buffer, value in zip(buffers, kept, strict=True):
            buffer.copy_(value)
    return np.array(found)
