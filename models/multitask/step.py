"""Run forward and backward of a merged network: encoder once, decoders, encoder backward once.

The gradients are those of the summed loss (the encoder's scaled by 1/√n). They are added up at the
encoder's output, so that the encoder is passed once, whatever the number of tasks.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.multitask.apart import decode_apart
from models.multitask.network import MultiTaskNet


def accumulate_gradients(
    net: MultiTaskNet, images: Tensor, targets: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Add the gradients of the summed task losses to the parameters' `.grad`.

    The encoder's share is scaled by `net.encoder_gradient_scale`. Returns each task's detached
    scalar loss on the batch.
    """
    features = net.encode(images)
    losses: dict[str, Tensor] = {}
    total: Tensor | None = None
    for task, loss, gradient in decode_apart(net, features, targets):
        losses[task] = loss
        total = gradient if total is None else total.add_(gradient)
    assert total is not None
    features.backward(total.mul_(net.encoder_gradient_scale))  # type: ignore[no-untyped-call]
    return losses
