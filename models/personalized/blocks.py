"""Build blocks, and networks that are chains of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.personalized.shapes import BlockShape


class NetBlock(nn.Module):
    """Be one block: from features of its shape `takes` to features of its shape `gives`."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.shape = shape
        plan, channels = shape.plan, shape.takes[0]
        if plan.kind in ("dense", "head"):
            self.layer: nn.Module = nn.Linear(math.prod(shape.takes), plan.width)
            return
        if plan.kind == "depthwise":
            self.layer = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
                nn.Conv2d(channels, plan.width, 1),
                nn.BatchNorm2d(plan.width),
            )
            return
        self.layer = nn.Conv2d(channels, plan.width, 3, padding=1)
        if plan.kind == "residual":
            self.second = nn.Conv2d(plan.width, plan.width, 3, padding=1)
            self.shortcut = nn.Conv2d(channels, plan.width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return what the block gives; a head gives logits, all others end in a ReLU."""
        kind = self.shape.plan.kind
        if kind in ("dense", "head"):
            found: Tensor = self.layer(features.flatten(1))
            return found if kind == "head" else functional.relu(found)
        found = self.layer(features)
        if kind == "residual":
            found = self.second(functional.relu(found)) + self.shortcut(features)
        found = functional.relu(found)
        return functional.max_pool2d(found, 2) if self.shape.plan.pool else found


class ChainNet(nn.Module):
    """Be a chain of blocks, with something that joins each to the one before, or nothing."""

    def __init__(
        self, blocks: Sequence[NetBlock], joins: Sequence[nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.joins = nn.ModuleList(joins or [nn.Identity() for _ in blocks])
        self.scale = 1.0
        """What every block but the classifier is multiplied by (HeteroFL)."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.classify(self.embed(images))

    def embed(self, images: Tensor) -> Tensor:
        """Return what the classifier is given."""
        features = images
        for join, block in list(zip(self.joins, self.blocks, strict=True))[:-1]:
            features = block(join(features))
            if self.scale != 1.0:
                features = features * self.scale
        return features

    def classify(self, embedding: Tensor) -> Tensor:
        """Return the logits of an embedding."""
        logits: Tensor = self.blocks[-1](self.joins[-1](embedding))
        return logits

    @property
    def parameter_count(self) -> int:
        """Return all its parameters."""
        return sum(p.numel() for p in self.parameters())


def build(shapes: Iterable[BlockShape], start: torch.Generator | None = None) -> ChainNet:
    """Build a network of blocks; with `start` by He's initialisation, which it draws from.

    Networks this small and mostly without norms stay near chance for hundreds of steps from
    torch's own start.
    """
    with torch.random.fork_rng(devices=()):  # torch's own start is drawn, and thrown away
        net = ChainNet([NetBlock(shape) for shape in shapes])
    if start is not None:
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=start)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
    return net
