"""Count work in passes of images through networks, from which other devices are modelled.

A training step is one forward and a backward worth two. A network put together from blocks counts
each block as its share of its family's arithmetic, with the stitch before it.
"""

from __future__ import annotations

from harness.records.work import Work
from models.personalized.assembly import Chain
from models.personalized.families import shapes
from models.personalized.shapes import Shape, stitch_arithmetic

TRAINING = 3.0
"""Forward passes that a training step is worth."""

NETWORKS = "networks"
"""Kind of part whose training passes are counted."""


def forward(family: str, images: int) -> Work:
    """Return the work of one forward pass."""
    return Work({family: float(images)})


def training(family: str, images: int) -> Work:
    """Return the work of one training step."""
    return Work({family: TRAINING * images}, {NETWORKS: images})


def through(chain: Chain, images: float) -> Work:
    """Return the work of so many images' forward passes through a network put together."""
    parts: dict[str, float] = {}
    for part, shape, join in zip(chain.parts, chain.shapes(), chain.joins(), strict=True):
        cost = shape.arithmetic + (stitch_arithmetic(*join) if join else 0)
        whole = arithmetic(part.family, chain.image, chain.classes)
        parts[part.family] = parts.get(part.family, 0.0) + images * cost / whole
    return Work(parts)


def arithmetic(family: str, image: Shape, classes: int) -> int:
    """Return multiplications and additions of a forward pass through a family's network."""
    return sum(block.arithmetic for block in shapes(family, image, classes))
