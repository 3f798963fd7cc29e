"""Run forward and backward of a merged network with the memory of a single task.

Encoder once; then every decoder forward and backward on the encoder's features, whose gradients
add up; then the encoder backward once. The gradients are those of the summed loss (the encoder's
scaled by 1/√n), but only one decoder's activations live at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.network import MultiTaskNet


def accumulate_gradients(
    net: MultiTaskNet, images: Tensor, targets: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Add the gradients of the summed task losses to the parameters' `.grad`.

    The encoder's share is scaled by `net.encoder_gradient_scale`. Returns each task's detached
    scalar loss on the batch.
    """
    features = net.encode(images)
    shared = features.detach().requires_grad_()
    losses: dict[str, Tensor] = {}
    for task in net.tasks:
        loss = net.loss(task, net.decode(task, shared), targets[task])
        loss.backward()  # type: ignore[no-untyped-call]
        losses[task] = loss.detach()
    gradient = shared.grad
    assert gradient is not None
    features.backward(gradient.mul_(net.encoder_gradient_scale))  # type: ignore[no-untyped-call]
    return losses
