"""Take the blocks of all clients, compare them over the public images, and group them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.records.work import Work
from harness.workloads.personalized.federation import mean_of, state_of
from harness.workloads.personalized.methods.rule import ServerSide
from harness.workloads.personalized.server.grouping import medoid_groups
from harness.workloads.personalized.server.likeness import BlockTrace, likeness, traces
from harness.workloads.personalized.server.search import Pool
from harness.workloads.personalized.work import forward
from models.personalized.assembly import BlockName
from models.personalized.blocks import ChainNet, build
from models.personalized.families import FAMILIES

MOST_IMAGES = 200
"""Public images that blocks are compared over."""


@dataclass
class GroupedBlocks:
    """Hold networks, their blocks with what each takes, and the group of each.

    Attributes:
        nets: by owner: those of clients, or averages of families (owner below 0).
        images: that blocks were compared over.
        pool: blocks that may stand in for others, with their groups.
        used_to: what each block takes of the images.
    """

    nets: dict[int, ChainNet]
    images: Tensor
    pool: Pool
    used_to: dict[BlockName, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the groups ready to be looked up."""
        self._index = dict(zip(self.pool.parts, self.pool.groups, strict=True))

    def group_of(self, part: BlockName) -> int:
        """Return the group of a block."""
        return self._index[part]

    @property
    def groups(self) -> int:
        """Return how many groups there are."""
        return len(set(self.pool.groups))


def parts_of(owner: int, family: str) -> tuple[BlockName, ...]:
    """Return the blocks of a family's network."""
    return tuple(BlockName(owner, family, i) for i in range(len(FAMILIES[family].blocks) + 2))


def average_owner(family: str) -> int:
    """Return the owner of a family's average."""
    return -1 - list(FAMILIES).index(family)


def sound_nets(side: ServerSide) -> dict[int, ChainNet]:
    """Return the networks of the active clients; one that holds no numbers is left out, and why."""
    found = {}
    for client in side.active:
        net = side.net(client)
        if all(bool(torch.isfinite(t).all()) for t in net.state_dict().values()):
            found[client] = net
        else:
            side.left_out[client] = "its weights hold values that are not finite"
    return found


def family_averages(side: ServerSide, nets: Mapping[int, ChainNet]) -> dict[int, ChainNet]:
    """Return the average of each family, by its owner below 0 (pFedHR's way for many clients)."""
    found = {}
    for family in dict.fromkeys(side.family(client) for client in nets):
        kin = [client for client in nets if side.family(client) == family]
        net = build(side.rule.shapes(side.federation, kin[0]))
        states = [state_of(nets[client]) for client in kin]
        net.load_state_dict(mean_of(list(states), [side.weight(client) for client in kin]))
        net.eval()
        found[average_owner(family)] = net
    return found


def grouped(
    side: ServerSide, nets: dict[int, ChainNet], families: Mapping[int, str], count: int
) -> GroupedBlocks | None:
    """Compare and group the blocks of networks by owner; None if no network is left.

    A network whose features are no numbers is left out, and why.
    """
    images = side.federation.club.public_images[:MOST_IMAGES]
    found: dict[BlockName, BlockTrace] = {}
    with side.observer.phase("likeness"):
        for owner in list(nets):
            own = traces(nets[owner], images)
            side.observer.work(forward(families[owner], len(images)))
            if all(trace.finite for trace in own):
                found |= zip(parts_of(owner, families[owner]), own, strict=True)
                continue
            side.left_out[owner] = "its features are not finite"
            del nets[owner]
        if not found:
            return None
        similar = likeness(list(found.values()))
        side.observer.work(_comparing(len(found), len(images)))
    with side.observer.phase("group"):
        groups = medoid_groups(similar, count, side.random)
    pool = Pool(list(found), [int(group) for group in groups])
    return GroupedBlocks(nets, images, pool, {part: t.takes for part, t in found.items()})


def _comparing(blocks: int, images: int) -> Work:
    """Return the memory traffic of all pairs of Gram matrices, of inputs and of outputs."""
    return Work(bytes_moved=2.0 * 8 * blocks * images**2)
