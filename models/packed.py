"""Lay the weights and statistics of a network out in one block of memory per data type.

A small network has a hundred tensors: copied or averaged one by one, the calls take longer than the
bytes. Every client of every round begins with such a copy and ends in such an average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

LINE_BYTES = 64
"""Every tensor begins on a cache line, as one by itself would."""


@dataclass(frozen=True)
class Place:
    """Say where a tensor lies: in the block of its data type, from an offset in numbers on."""

    block: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def extent(self) -> int:
        """Return how many numbers it reaches over."""
        if 0 in self.shape:
            return 0
        return 1 + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))


@dataclass(frozen=True, eq=False)
class BlockLayout:
    """Hold the places of tensors by name. Two are the same only if they are one object."""

    places: Mapping[str, Place]

    @cached_property
    def bytes(self) -> int:
        """Return the size of the tensors, gaps between them aside."""
        return sum(
            torch.Size(place.shape).numel() * getattr(torch, place.block).itemsize
            for place in self.places.values()
        )


class Packed(Mapping[str, Tensor]):
    """Map names to tensors, each a view of a block that is made when it is asked for."""

    def __init__(self, layout: BlockLayout, blocks: Mapping[str, Tensor]) -> None:
        """Read `blocks`, by name of their data type, as `layout` says."""
        self.layout = layout
        self.blocks = blocks

    def __getitem__(self, name: str) -> Tensor:
        place = self.layout.places[name]
        return self.blocks[place.block].as_strided(place.shape, place.strides, place.offset)

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout.places)

    def __len__(self) -> int:
        return len(self.layout.places)

    def each(self, change: Callable[[Tensor], Tensor]) -> Packed:
        """Return what comes of changing whole blocks, in the same layout."""
        return Packed(self.layout, {name: change(block) for name, block in self.blocks.items()})

    def copy_(self, others: Mapping[str, Tensor]) -> None:
        """Copy the values of other tensors of the same names and shapes into these."""
        if isinstance(others, Packed) and others.layout is self.layout:
            for name, block in self.blocks.items():
                block.copy_(others.blocks[name])
        else:
            torch._foreach_copy_(list(self.values()), [others[name] for name in self])


def pack(tensors: Mapping[str, Tensor]) -> Packed:
    """Return copies of tensors, of one device, in blocks; their strides stay."""
    places: dict[str, Place] = {}
    ends: dict[str, int] = {}
    for name, tensor in tensors.items():
        kind = str(tensor.dtype).removeprefix("torch.")
        line = max(LINE_BYTES // tensor.element_size(), 1)
        offset = -(-ends.get(kind, 0) // line) * line
        places[name] = Place(kind, offset, tuple(tensor.shape), tensor.stride())
        ends[kind] = offset + places[name].extent
    device = next(iter(tensors.values())).device
    blocks = {
        kind: torch.zeros(end, dtype=getattr(torch, kind), device=device)
        for kind, end in ends.items()
    }
    packed = Packed(BlockLayout(places), blocks)
    packed.copy_(tensors)
    return packed
