"""Name the families of networks, those for weak devices first, and say which a device gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from models.personalized.shapes import BYTES, BlockPlan, BlockShape, Shape, chain

EMBEDDING = 32
"""Length of the vector before the classifier, alike in all families."""


@dataclass(frozen=True)
class Family:
    """Describe one family: its blocks before embedding and classifier, and a device it suits.

    `flop_per_s` is the training throughput from which on a profile's device gets it.
    """

    name: str
    meaning: str
    blocks: tuple[BlockPlan, ...]
    flop_per_s: float


def _maps(*plans: tuple[str, int, bool]) -> tuple[BlockPlan, ...]:
    return tuple(BlockPlan(kind, width, pool) for kind, width, pool in plans)  # type: ignore[arg-type]


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("dense", "fully connected layers alone", _maps(("dense", 24, False)), 0.0),
        Family("tiny", "two narrow convolutions",
               _maps(("conv", 8, True), ("conv", 8, True)), 6e9),
        Family("mobile", "depthwise separable convolutions with batch norm, as MobileNet",
               _maps(("conv", 12, True), ("depthwise", 24, True), ("depthwise", 24, False)), 10e9),
        Family("small", "two convolutions",
               _maps(("conv", 16, True), ("conv", 24, True)), 18e9),
        Family("deep", "four convolutions",
               _maps(("conv", 12, False), ("conv", 12, True), ("conv", 24, False),
                     ("conv", 24, True)), 33e9),
        Family("residual", "residual blocks with a shortcut",
               _maps(("conv", 16, True), ("residual", 24, True), ("residual", 24, False)), 70e9),
        Family("wide", "two wide convolutions and a wide vector",
               _maps(("conv", 32, True), ("conv", 48, True), ("dense", 64, False)), 150e9),
    )
}  # fmt: skip


def plan(family: str, classes: int) -> tuple[BlockPlan, ...]:
    """Return all blocks of a family: its own, the embedding, the classifier."""
    ends = BlockPlan("dense", EMBEDDING), BlockPlan("head", classes)
    return (*FAMILIES[family].blocks, *ends)


@lru_cache(maxsize=256)
def shapes(family: str, image: Shape, classes: int) -> tuple[BlockShape, ...]:
    """Return the blocks of a family for images of a shape (channels, height, width).

    Raises:
        ValueError: if the images are too small for it.
    """
    return chain(plan(family, classes), image)


def parameters(family: str, image: Shape, classes: int) -> int:
    """Return the trained parameters of a family's network."""
    return sum(block.parameters for block in shapes(family, image, classes))


def training_bytes(family: str, image: Shape, classes: int, batch: int) -> int:
    """Return what a training step holds at least: weights, gradients, Adam's moments, features.

    Beside it stand a teacher of about the same size, the images and the program itself.
    """
    blocks = shapes(family, image, classes)
    weights = 4 * sum(block.parameters for block in blocks)
    return BYTES * (weights + 2 * batch * sum(block.features for block in blocks))


def family_of(flop_per_s: float) -> str:
    """Return the family for a device of a training throughput, as its profile has it."""
    fitting = [f for f in FAMILIES.values() if f.flop_per_s <= flop_per_s]
    return fitting[-1].name
