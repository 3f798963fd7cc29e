"""Weigh tasks by GradNorm (Chen et al., ICML 2018) while training a merged network.

With task weights w, gradient norms G_i = ‖∇ w_i·L_i‖ and relative training rates
r_i = (L_i / L_i(0)) / mean_j (L_j / L_j(0)), the weights descend on Σ |G_i − mean(G)·r_i^α|, whose
slope in w_i has the sign of G_i − mean(G)·r_i^α, and are then scaled to sum to n.

Two choices where the paper leaves room or costs more. Norms are taken at the encoder's output, as
the published MAS code does: they fall off the ordinary step and need no extra pass. A weight moves
by a fixed share of itself in the direction of the slope, which keeps it positive and does not
depend on the scale of the losses.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.multitask.apart import decode_apart
from models.multitask.network import MultiTaskNet


class GradNormStep:
    """Accumulate the gradients of the weighted losses and adapt the weights after every batch."""

    def __init__(self, net: MultiTaskNet, alpha: float, step: float) -> None:
        self._net = net
        self._alpha = alpha
        self._step = step
        self._first: dict[str, float] = {}
        self.weights = dict.fromkeys(net.tasks, 1.0)

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add the gradients of Σ w_i·L_i to `.grad`; return each task's unweighted loss."""
        features = self._net.encode(images)
        losses: dict[str, Tensor] = {}
        norms: dict[str, float] = {}
        total: Tensor | None = None
        for task, loss, gradient in decode_apart(self._net, features, targets, self.weights):
            losses[task] = loss
            norms[task] = float(gradient.norm())
            total = gradient if total is None else total.add_(gradient)
        assert total is not None
        features.backward(total.mul_(self._net.encoder_gradient_scale))  # type: ignore[no-untyped-call]
        self._adapt({task: float(loss) for task, loss in losses.items()}, norms)
        return losses

    def _adapt(self, losses: Mapping[str, float], norms: Mapping[str, float]) -> None:
        if not all(losses.values()):
            return  # a batch without labels of some task shows no rate to even out
        if not self._first:
            self._first = dict(losses)
        self.weights = adapted(
            self.weights,
            norms,
            {task: loss / self._first[task] for task, loss in losses.items()},
            self._alpha,
            self._step,
        )


def adapted(
    weights: Mapping[str, float],
    norms: Mapping[str, float],
    progress: Mapping[str, float],
    alpha: float,
    step: float,
) -> dict[str, float]:
    """Return the weights after one step, summing to their number.

    `norms` are those of the weighted gradients, `progress` is L_i / L_i(0). A task whose norm is
    above its target loses the share `step` of its weight, one below gains it.
    """
    n = len(weights)
    mean_norm = sum(norms.values()) / n
    mean_progress = sum(progress.values()) / n
    moved: dict[str, float] = {}
    for task, weight in weights.items():
        target = mean_norm * (progress[task] / mean_progress) ** alpha
        slope = (norms[task] > target) - (norms[task] < target)
        moved[task] = weight * (1.0 - step * slope)
    scale = n / sum(moved.values())
    return {task: weight * scale for task, weight in moved.items()}
