"""Say what a block is made of, and foretell its shapes, parameters and arithmetic without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Shape = tuple[int, ...]
"""Of one image's features: (channels, height, width) of a map, (length,) of a vector."""

Kind = Literal["conv", "depthwise", "residual", "dense", "head"]

RANKS = {"conv": 0, "depthwise": 0, "residual": 0, "dense": 1, "head": 2}
"""Order of operations: maps, then vectors, then the classifier."""

BYTES = 4
"""Of a parameter or a feature in fp32."""


@dataclass(frozen=True)
class BlockPlan:
    """Say what a block is: its kind, its width, and whether it halves a map."""

    kind: Kind
    width: int
    pool: bool = False


@dataclass(frozen=True)
class BlockShape:
    """Hold a block's plan with the shapes that it takes and gives.

    A convolution has kernels of 3×3; a depthwise block is one of these per channel and a 1×1 one
    with batch norm, as in MobileNet; a residual block is two of them beside a 1×1 shortcut.
    """

    plan: BlockPlan
    takes: Shape
    gives: Shape

    @property
    def parameters(self) -> int:
        """Return the trained parameters; statistics of batch norm are not among them."""
        width, kind = self.plan.width, self.plan.kind
        if kind in ("dense", "head"):
            return (math.prod(self.takes) + 1) * width
        channels = self.takes[0]
        if kind == "depthwise":
            return 10 * channels + (channels + 1) * width + 2 * width
        first = (9 * channels + 1) * width
        if kind == "residual":
            return first + (9 * width + 1) * width + (channels + 1) * width
        return first

    @property
    def statistics(self) -> int:
        """Return the running means and variances of batch norm, which travel with the block."""
        return 2 * self.plan.width if self.plan.kind == "depthwise" else 0

    @property
    def arithmetic(self) -> int:
        """Return multiplications and additions of one image's forward pass."""
        width, kind = self.plan.width, self.plan.kind
        if kind in ("dense", "head"):
            return 2 * math.prod(self.takes) * width
        channels, area = self.takes[0], self.takes[1] * self.takes[2]
        if kind == "depthwise":
            return 2 * area * channels * (9 + width)
        first = 2 * area * 9 * channels * width
        if kind == "residual":
            return first + 2 * area * (9 * width + channels) * width
        return first

    @property
    def features(self) -> int:
        """Return the numbers that one image's training step keeps of the block."""
        if self.plan.kind in ("dense", "head"):
            return self.plan.width
        area = self.takes[1] * self.takes[2]
        layers = {"conv": 1, "depthwise": 3, "residual": 3}[self.plan.kind]
        return layers * area * self.plan.width + math.prod(self.gives)


def chain(plans: Sequence[BlockPlan], image: Shape) -> tuple[BlockShape, ...]:
    """Return the shapes of blocks that follow one another, from an image on.

    Raises:
        ValueError: if a map is too small to be halved, or a map block follows a vector.
    """
    found: list[BlockShape] = []
    takes = image
    for plan in plans:
        found.append(BlockShape(plan, takes, _gives(plan, takes)))
        takes = found[-1].gives
    return tuple(found)


def _gives(plan: BlockPlan, takes: Shape) -> Shape:
    if plan.kind in ("dense", "head"):
        return (plan.width,)
    if len(takes) != 3:
        raise ValueError(f"a {plan.kind} block cannot follow a vector")
    _, height, width = takes
    if not plan.pool:
        return plan.width, height, width
    if min(height, width) < 2:
        raise ValueError(f"a map of {height}×{width} cannot be halved")
    return plan.width, height // 2, width // 2


def stitch_parameters(arrives: Shape, wanted: Shape) -> int:
    """Return the parameters of what joins two shapes: (channels in + 1) · channels out."""
    return (arrives[0] + 1) * wanted[0]


def stitch_arithmetic(arrives: Shape, wanted: Shape) -> int:
    """Return multiplications and additions of one image through a join."""
    area = wanted[1] * wanted[2] if len(arrives) == 3 and len(wanted) == 3 else 1
    return 2 * arrives[0] * wanted[0] * area
