"""Let a linear layer wear a low-rank adapter: y = x (W + s B A)ᵀ (Hu et al., LoRA, ICLR 2022)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import Tensor, nn


class AdaptedLinear(nn.Module):
    """Be a linear layer without bias that trains s·B·A beside its weight while it wears them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.a: nn.Parameter | None = None
        self.b: nn.Parameter | None = None
        self.scale = 0.0

    def wear(self, a: Tensor, b: Tensor, scale: float) -> None:
        """Put on a copy of A of rank × inputs and B of outputs × rank."""
        self.a, self.b = nn.Parameter(a.detach().clone()), nn.Parameter(b.detach().clone())
        self.scale = scale

    def take_off(self) -> None:
        """Answer with the weight alone."""
        self.a = self.b = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output; the adapter is applied factor by factor."""
        y = F.linear(x, self.weight)
        if self.a is None or self.b is None:
            return y
        return y + self.scale * F.linear(F.linear(x, self.a), self.b)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:  # noqa: ANN401 - as torch calls it
        """Save the weight alone: an adapter is no part of the base model."""
        destination[prefix + "weight"] = self.weight if keep_vars else self.weight.detach()
