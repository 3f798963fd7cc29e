"""Put the methods of each seed in an order that favours none of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def ordered(items: Sequence[Item], order: str, seed: int, block: int) -> list[Item]:
    """Return the items of one block, which is one seed and repeat, in running order.

    `random` draws an order of its own for each block, from the seed and the block's number alone;
    `interleaved` begins each block one item further on, so that over as many blocks as items each
    one comes first once; `fixed` changes nothing. A device that warms up, or a battery that runs
    down, then does not always favour the same method.
    """
    if order == "random":
        from harness.federated.random_streams import random_stream  # noqa: PLC0415 - needs numpy

        drawn = random_stream(seed, "order of methods", block).permutation(len(items))
        return [items[i] for i in drawn]
    if order == "interleaved":
        first = block % max(len(items), 1)
        return [*items[first:], *items[:first]]
    return list(items)
