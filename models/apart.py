"""Run decoders one by one on shared features and keep their gradients apart.

What balances or projects the gradients of several tasks needs to see each of them; the plain step
in `models.step` only needs their sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from models.network import MultiTaskNet


def decode_apart(
    net: MultiTaskNet,
    features: Tensor,
    targets: Mapping[str, Tensor],
    weights: Mapping[str, float],
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Run each decoder forward and backward; yield task, detached loss and feature gradient.

    Gradients of weight × loss are added to the decoder's `.grad`; the yielded gradient is that of
    weight × loss in the encoder's output. The loss itself is not weighted.
    """
    for task in net.tasks:
        shared = features.detach().requires_grad_()
        loss = net.loss(task, net.decode(task, shared), targets[task])
        (weights[task] * loss).backward()  # type: ignore[no-untyped-call]
        gradient = shared.grad
        assert gradient is not None
        yield task, loss.detach(), gradient
