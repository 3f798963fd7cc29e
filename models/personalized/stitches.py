"""Join what one block gives to what another takes: a 1×1 convolution or a linear layer, then ReLU.

Two maps: average-pool or repeat to the size wanted, then a 1×1 convolution on channels. A map that
meets a vector is averaged first; a vector that meets a map fills it evenly. Parameters are
(channels in + 1) · channels out (pFedClub; Stitchable Neural Networks, CVPR 2023; DeRy, NeurIPS
2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.personalized.shapes import Shape

RIDGE = 1e-3
"""Times the mean of the diagonal, added to it."""

MOST_ROWS = 2048
"""Positions that a start by least squares looks at."""


class Stitch(nn.Module):
    """Join features of one shape to a block that takes another."""

    def __init__(self, arrives: Shape, wanted: Shape) -> None:
        super().__init__()
        self.arrives, self.wanted = arrives, wanted
        self.weight = nn.Parameter(torch.zeros(wanted[0], arrives[0]))
        self.bias = nn.Parameter(torch.zeros(wanted[0]))

    @property
    def _maps(self) -> bool:
        return len(self.arrives) == 3 and len(self.wanted) == 3

    def _rows(self, features: Tensor) -> Tensor:
        """Return features with channels last, at the size wanted."""
        if self._maps:
            _, height, width = self.wanted
            size = height, width
            if tuple(features.shape[2:]) != size:
                features = functional.adaptive_avg_pool2d(features, size)
            return features.movedim(1, -1)
        return features.mean((2, 3)) if features.dim() == 4 else features

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the shape wanted."""
        found = functional.relu(functional.linear(self._rows(features), self.weight, self.bias))
        if self._maps:
            return found.movedim(-1, 1)
        if len(self.wanted) == 3:
            return found[:, :, None, None].expand(-1, -1, *self.wanted[1:])
        return found

    @torch.no_grad()
    def fit(self, features: Tensor, target: Tensor, ridge: float = RIDGE) -> None:
        """Start from ridge least squares between what arrives and what the block is used to."""
        rows = self._rows(features).reshape(-1, self.arrives[0])
        wanted = target.movedim(1, -1) if self._maps else target
        wanted = wanted.mean((2, 3)) if wanted.dim() == 4 and not self._maps else wanted
        wanted = wanted.reshape(-1, self.wanted[0])
        step = max(1, len(rows) // MOST_ROWS)
        rows, wanted = rows[::step].double(), wanted[::step].double()
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], 1)
        moments = rows.T @ rows
        scale = moments.diagonal().mean().clamp(min=torch.finfo(rows.dtype).tiny)
        moments = moments + ridge * scale * torch.eye(len(moments), dtype=rows.dtype)
        solved = torch.linalg.solve(moments, rows.T @ wanted).T
        self.weight.copy_(solved[:, :-1])
        self.bias.copy_(solved[:, -1])
