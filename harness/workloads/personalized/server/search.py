"""Search networks for a client among the blocks of others (pFedClub, algorithm 1).

An anchor is drawn from the group of the client's first block; blocks of the groups of its next
blocks follow with rising index; where none is left, the client's own blocks complete the chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.personalized.assembly import BlockName
from models.personalized.families import FAMILIES

MOST_CHAINS = 128
"""Chains that are looked at for a client: there may be as many as the groups' sizes multiplied."""

Parts = tuple[BlockName, ...]


def is_head(part: BlockName) -> bool:
    """Say whether a block is a classifier: behind a family's own blocks and the embedding."""
    return part.index == len(FAMILIES[part.family].blocks) + 1


@dataclass(frozen=True)
class Pool:
    """Hold all blocks with the group of each."""

    parts: Sequence[BlockName]
    groups: Sequence[int]

    def like(self, own: BlockName, group: int) -> list[BlockName]:
        """Return what may stand in for a client's block: a head for a head, else no head."""
        return [
            part
            for part, its in zip(self.parts, self.groups, strict=True)
            if its == group and is_head(part) == is_head(own)
        ]


def chains(
    own: Parts,
    groups: Sequence[int],
    pool: Pool,
    random: np.random.Generator,
    most: int = MOST_CHAINS,
) -> Iterator[Parts]:
    """Yield up to `most` chains for a client, each once, depth first in random order.

    `own` are its blocks and `groups` theirs. Every chain has as many blocks as the client's own
    network; those that complete it are its own, at their own places.
    """
    alike = [pool.like(part, group) for part, group in zip(own, groups, strict=True)]
    seen: set[Parts] = set()
    if not alike[0]:
        return
    stack: list[Parts] = [(alike[0][random.integers(len(alike[0]))],)]
    while stack and len(seen) < most:
        path = stack.pop()
        place = len(path)
        if place < len(own):
            rising = [part for part in alike[place] if part.index > path[-1].index]
            if rising:
                stack += [(*path, rising[i]) for i in random.permutation(len(rising))]
                continue
            path = (*path, *own[place:])
        if path not in seen:
            seen.add(path)
            yield path
