"""Let every task pull equally hard at the shared encoder of a merged network.

The gradients that decoders send back into the encoder differ in size by more than ten times between
cross entropy and the L1 tasks, so that in a plain sum one task trains the encoder alone. Here each
is scaled to the largest of them before they are added, as in the gradient half of DB-MTL (Lin et
al., Dual-Balancing for Multi-Task Learning, 2023). Norms are taken at the encoder's output, batch
by batch: they fall off the ordinary step, so that no pass is added and nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.multitask.apart import decode_apart, scale_decoder
from models.multitask.network import MultiTaskNet
from models.multitask.tasks import DETAIL_TASKS
from models.multitask.weighting import Balanced

SMALLEST = 1e-8
"""What is added to a loss before its logarithm is taken, as in LibMTL."""


class BalancedStep:
    """Accumulate gradients whose parts have equal norms at the encoder's output, but for a rule."""

    def __init__(self, net: MultiTaskNet, rule: Balanced) -> None:
        self._net = net
        self._rule = rule

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add decoder gradients and the balanced encoder gradient to `.grad`, which are empty.

        Returns each task's detached loss, which is never a logarithm.
        """
        net = self._net
        features = net.encode(images)
        losses: dict[str, Tensor] = {}
        gradients: list[Tensor] = []
        for task, loss, gradient in decode_apart(net, features, targets):
            losses[task] = loss
            gradients.append(gradient)
        scales = balanced(net, gradients, losses, self._rule)
        total = added([g * f for g, f in zip(gradients, scales, strict=True)])
        features.backward(total.mul_(net.encoder_gradient_scale))  # type: ignore[no-untyped-call]
        return losses


def balanced(
    net: MultiTaskNet,
    gradients: Sequence[Tensor],
    losses: Mapping[str, Tensor],
    rule: Balanced,
) -> Tensor:
    """Return what gradients at the features are scaled by; those of decoders, in place, by logs."""
    slopes = log_slopes([losses[task] for task in net.tasks], rule)
    if slopes is not None:
        for task, slope in zip(net.tasks, slopes.tolist(), strict=True):
            scale_decoder(net, task, slope)
    return pulls(net.tasks, gradients, rule.detail, slopes)


def log_slopes(losses: Sequence[Tensor], rule: Balanced) -> Tensor | None:
    """Return d log L/dL, shape (n,), if the rule descends log losses of several tasks.

    That of a loss of 0, whose gradient is none anyway, is 1.
    """
    if not rule.logs or len(losses) == 1:
        return None
    found = torch.stack(list(losses))
    return torch.where(found > 0, 1.0 / (found + SMALLEST), torch.ones_like(found))


def pulls(
    tasks: Sequence[str],
    gradients: Sequence[Tensor],
    detail: float,
    slopes: Tensor | None = None,
) -> Tensor:
    """Return the balancing factors of tasks, those of fine structure times `detail`."""
    found = factors(gradients, slopes)
    if detail == 1.0:
        return found
    return found * found.new_tensor([detail if t in DETAIL_TASKS else 1.0 for t in tasks])


def factors(gradients: Sequence[Tensor], slopes: Tensor | None = None) -> Tensor:
    """Return by what each gradient grows to the largest norm among them; shape (n,).

    With slopes that is the largest of slope × norm. A gradient of zeros stays one: a batch without
    labels of a task does not train it.
    """
    norms = torch.stack([gradient.norm() for gradient in gradients])
    largest = (norms if slopes is None else norms * slopes).max()
    return torch.where(norms > 0, largest / norms, torch.zeros_like(norms))


def added(gradients: Sequence[Tensor]) -> Tensor:
    """Return the sum of gradients of one shape in a new tensor, added in their order."""
    total = gradients[0].clone()
    for gradient in gradients[1:]:
        total.add_(gradient)
    return total
