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

from models.multitask.apart import decode_apart
from models.multitask.network import MultiTaskNet
from models.multitask.tasks import DETAIL_TASKS


class BalancedStep:
    """Accumulate gradients whose parts have equal norms at the encoder's output.

    Those of tasks of fine structure (`DETAIL_TASKS`) are `detail` times as long.
    """

    def __init__(self, net: MultiTaskNet, detail: float = 1.0) -> None:
        self._net = net
        self._detail = detail

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add plain decoder gradients and the balanced encoder gradient to `.grad`.

        Returns each task's detached loss.
        """
        net = self._net
        features = net.encode(images)
        losses: dict[str, Tensor] = {}
        gradients: list[Tensor] = []
        for task, loss, gradient in decode_apart(net, features, targets):
            losses[task] = loss
            gradients.append(gradient)
        scales = pulls(net.tasks, gradients, self._detail)
        total = added([g * f for g, f in zip(gradients, scales, strict=True)])
        features.backward(total.mul_(net.encoder_gradient_scale))  # type: ignore[no-untyped-call]
        return losses


def pulls(tasks: Sequence[str], gradients: Sequence[Tensor], detail: float) -> Tensor:
    """Return the balancing factors of tasks, those of fine structure times `detail`."""
    found = factors(gradients)
    if detail == 1.0:
        return found
    return found * found.new_tensor([detail if t in DETAIL_TASKS else 1.0 for t in tasks])


def factors(gradients: Sequence[Tensor]) -> Tensor:
    """Return by what each gradient grows to the largest norm among them; shape (n,).

    A gradient of zeros stays one: a batch without labels of a task does not train it.
    """
    norms = torch.stack([gradient.norm() for gradient in gradients])
    return torch.where(norms > 0, norms.max() / norms, torch.zeros_like(norms))


def added(gradients: Sequence[Tensor]) -> Tensor:
    """Return the sum of gradients of one shape in a new tensor, added in their order."""
    total = gradients[0].clone()
    for gradient in gradients[1:]:
        total.add_(gradient)
    return total
