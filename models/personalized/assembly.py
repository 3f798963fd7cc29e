"""Put networks together from blocks of others: foretell their size, then build them.

A block is named by family and index, so that a chain of names says all that is needed to build the
same network elsewhere; whose weights its blocks have is said by `owner`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.personalized.blocks import ChainNet, NetBlock
from models.personalized.families import shapes
from models.personalized.shapes import (
    BlockShape,
    Shape,
    stitch_arithmetic,
    stitch_parameters,
)
from models.personalized.stitches import Stitch


@dataclass(frozen=True)
class BlockName:
    """Name a block: the client that owns it, its network's family, its index there from 0.

    An owner below 0 is no client: the block is the average of its family's.
    """

    owner: int
    family: str
    index: int

    @property
    def text(self) -> str:
        """Return it as people read it, blocks from 1: `c4.2`, or `tiny.2` of an average."""
        return f"{self.family if self.owner < 0 else f'c{self.owner}'}.{self.index + 1}"


Join = tuple[Shape, Shape] | None
"""The shapes to stitch together; None between neighbours of one network."""


@dataclass(frozen=True)
class Chain:
    """Hold blocks that follow one another, for images of a shape and so many classes."""

    parts: tuple[BlockName, ...]
    image: Shape
    classes: int

    @property
    def text(self) -> str:
        """Return it as people read it: `c4.2>c2.3>c1.3`."""
        return ">".join(part.text for part in self.parts)

    def shapes(self) -> list[BlockShape]:
        """Return the shape of each block."""
        return [shapes(p.family, self.image, self.classes)[p.index] for p in self.parts]

    def joins(self) -> Iterator[Join]:
        """Yield for each block what joins it to what comes before it."""
        arrives, before = self.image, None
        for part, shape in zip(self.parts, self.shapes(), strict=True):
            natural = part.index == 0 if before is None else (
                part.owner == before.owner and part.index == before.index + 1
            )  # fmt: skip
            yield None if natural else (arrives, shape.takes)
            arrives, before = shape.gives, part

    @property
    def stitch_parameters(self) -> int:
        """Return the parameters of its stitches."""
        return sum(stitch_parameters(*join) for join in self.joins() if join)

    @property
    def parameters(self) -> int:
        """Return all parameters, stitches included, without building it."""
        return sum(s.parameters for s in self.shapes()) + self.stitch_parameters

    @property
    def arithmetic(self) -> int:
        """Return multiplications and additions of one image's forward pass."""
        own = sum(shape.arithmetic for shape in self.shapes())
        return own + sum(stitch_arithmetic(*join) for join in self.joins() if join)

    def empty(self) -> ChainNet:
        """Build it with weights that mean nothing yet."""
        with torch.random.fork_rng(devices=()):
            blocks = [NetBlock(shape) for shape in self.shapes()]
        return ChainNet(blocks, _joining(self))


def assemble(
    chain: Chain, nets: Mapping[int, ChainNet], images: Tensor, used_to: Mapping[BlockName, Tensor]
) -> ChainNet:
    """Build a chain of copies of its owners' blocks, frozen and in eval mode.

    Only its stitches are left to train. They start from least squares over `images` and what each
    block is `used_to` take of them; batch norm's statistics travel with their block.
    """
    net = ChainNet([_copied(part, nets) for part in chain.parts], _joining(chain))
    net.eval()
    features = images
    with torch.no_grad():
        for part, join, block in zip(chain.parts, net.joins, net.blocks, strict=True):
            if isinstance(join, Stitch):
                join.fit(features, used_to[part])
            features = block(join(features))
    return net


def stitches(net: ChainNet) -> list[nn.Parameter]:
    """Return the parameters of a network's stitches."""
    return [p for join in net.joins for p in join.parameters()]


def _copied(part: BlockName, nets: Mapping[int, ChainNet]) -> NetBlock:
    block = nets[part.owner].blocks[part.index]
    assert isinstance(block, NetBlock)
    return copy.deepcopy(block).requires_grad_(requires_grad=False)


def _joining(chain: Chain) -> Sequence[nn.Module]:
    return [nn.Identity() if join is None else Stitch(*join) for join in chain.joins()]
