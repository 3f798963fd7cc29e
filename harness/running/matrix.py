"""List the cells of a run, and put the methods of each seed in an order that favours none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from harness.config import RunConfig
from harness.records.cells import Cell

Item = TypeVar("Item")


def matrix(config: RunConfig) -> list[Cell]:
    """Return the cells as tables list them: seed by seed, the reference first, then as typed."""
    specs = sorted(
        config.method_specs(),
        key=lambda spec: spec.name != config.reference,
    )
    return [
        Cell(spec, seed, repeat)
        for seed in config.seeds
        for repeat in range(config.repeats)
        for spec in specs
    ]


def running_order(config: RunConfig) -> list[Cell]:
    """Return the cells in the order in which they run: all methods of a seed, then the next."""
    cells = matrix(config)
    blocks = [(seed, repeat) for seed in config.seeds for repeat in range(config.repeats)]
    found: list[Cell] = []
    for number, (seed, repeat) in enumerate(blocks):
        block = [cell for cell in cells if (cell.seed, cell.repeat) == (seed, repeat)]
        drawn = repeat if config.order == "random" else number
        found += ordered(block, config.order, seed, drawn)
    return found


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
