"""Balance a merged network twice: logarithms of losses, gradients of one length (DB-MTL).

Lin et al., Dual-Balancing for Multi-Task Learning, 2023 (2308.12029). With ℓ_i = log(L_i + ε),
gradients are smoothed, ĝ ← g + (β/t^σ)·(ĝ − g) for the t-th step, and the encoder follows
Σ (max_j ‖ĝ_j‖/‖ĝ_i‖)·ĝ_i. `models.multitask.balance` is its last part alone, at the features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.multitask.apart import decode_apart, scale_decoder
from models.multitask.balance import SMALLEST, added, factors
from models.multitask.gram import encoder_gradients, set_gradient
from models.multitask.network import MultiTaskNet
from models.multitask.weighted import State
from models.multitask.weighting import DualBalanceRule


class DualBalancedStep:
    """Accumulate the gradients of log losses; the encoder's are smoothed and made equally long."""

    def __init__(self, net: MultiTaskNet, rule: DualBalanceRule, state: State) -> None:
        self._net = net
        self._rule = rule
        self._state = state

    @staticmethod
    def start(net: MultiTaskNet) -> dict[str, Tensor]:
        """Return smoothed gradients of 0, a row a task, and the steps taken."""
        size = sum(p.numel() for p in net.encoder.parameters())
        like = net.weights()[0]
        rows = torch.zeros(len(net.tasks), size, dtype=like.dtype, device=like.device)
        return {"smoothed": rows, "steps": torch.zeros((), dtype=torch.int64)}

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add the gradients to `.grad`, which are to be empty; return each task's own loss."""
        net, rule = self._net, self._rule
        features = net.encode(images)
        losses: dict[str, Tensor] = {}
        apart: list[Tensor] = []
        for task, loss, gradient in decode_apart(net, features, targets):
            losses[task] = loss
            slope = 1.0 / (float(loss) + SMALLEST) if rule.logs and float(loss) > 0.0 else 1.0
            scale_decoder(net, task, slope)
            apart.append(gradient * slope)
        if rule.at == "features":
            total = added([g * f for g, f in zip(apart, factors(apart), strict=True)])
            features.backward(total.mul_(net.encoder_gradient_scale))  # type: ignore[no-untyped-call]
            return losses
        unseen = [place for place, loss in enumerate(losses.values()) if not float(loss)]
        rows = self._smoothed(encoder_gradients(net, features, apart), unseen)
        weights = factors([row * 0.0 if i in unseen else row for i, row in enumerate(rows)])
        weights *= net.encoder_gradient_scale
        set_gradient(list(net.encoder.parameters()), weights @ rows)
        return losses

    def _smoothed(self, rows: Tensor, unseen: Sequence[int]) -> Tensor:
        """Return the smoothed gradients; those of tasks without labels in a batch stay as they are.

        What is remembered of such a task would else be pulled along at full length.
        """
        if not self._rule.beta:
            return rows
        self._state["steps"] += 1
        share = self._rule.beta / int(self._state["steps"]) ** self._rule.sigma
        smoothed = self._state["smoothed"]
        kept = {place: smoothed[place].clone() for place in unseen}
        smoothed.mul_(share).add_(rows, alpha=1.0 - share)
        for place, row in kept.items():
            smoothed[place] = row
        return smoothed
