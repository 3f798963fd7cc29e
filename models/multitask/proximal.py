"""Pull a client's weights towards the global model (FedProx, Li et al., MLSys 2020)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models.multitask.network import MultiTaskNet
from models.multitask.step import accumulate_gradients


class ProximalStep:
    """Accumulate the gradients of the summed loss plus (μ/2)·‖θ − θ_global‖².

    θ_global is the network as it is when the step is made.
    """

    def __init__(self, net: MultiTaskNet, mu: float) -> None:
        self._net = net
        self._mu = mu
        self._anchor = [parameter.detach().clone() for parameter in net.parameters()]

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add the gradients to `.grad`; return the task losses without the proximal term."""
        losses = accumulate_gradients(self._net, images, targets)
        with torch.no_grad():
            for parameter, anchor in zip(self._net.parameters(), self._anchor, strict=True):
                assert parameter.grad is not None
                parameter.grad.add_(parameter - anchor, alpha=self._mu)
        return losses
