"""Put teachers together for all clients from one pool (pFedHR, NeurIPS 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from harness.federated.prefixed import over
from harness.workloads.personalized.client import outputs
from harness.workloads.personalized.federation import of_client, state_of
from harness.workloads.personalized.job import TeacherRecord
from harness.workloads.personalized.methods.pfedclub import (
    NO_OTHERS,
    NONE_FOUND,
    PFedClub,
    without_teacher,
)
from harness.workloads.personalized.methods.rule import ServerSide
from harness.workloads.personalized.methods.teaching import PATH, TEACHER, path_of
from harness.workloads.personalized.server.blocks_of_clients import (
    GroupedBlocks,
    grouped,
    sound_nets,
)
from harness.workloads.personalized.server.candidates import Tuning, build_candidate, match
from harness.workloads.personalized.work import forward
from models.personalized.assembly import BlockName, Chain
from models.personalized.blocks import ChainNet
from models.personalized.shapes import RANKS


@dataclass(frozen=True)
class PFedHR(PFedClub):
    """Grow chains from every block by rising index and order of operations; no limit of size.

    R1: rising index; R2: maps before vectors before the head; R3: every kind of operation; R4:
    every group. Candidates are tuned whole, one pool for all clients, before the cosine match.
    """

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Make one pool of candidates and give each client the one most like its network."""
        nets = sound_nets(side)
        families = {owner: side.family(owner) for owner in nets}
        blocks = grouped(side, dict(nets), families, self.groups) if len(nets) > 1 else None
        pool = [] if blocks is None else self._pool(side, blocks)
        how = Tuning(self.tune, self.rate, self.use_labels, whole=True)
        built = [(chain, build_candidate(side, chain, blocks, how)) for chain in pool if blocks]
        changed: dict[str, Tensor] = {}
        groups = 0 if blocks is None else blocks.groups
        for client in side.active:
            changed |= without_teacher(side, client)
            counts = groups, len(pool), len(pool), len(built)
            if not built or client not in nets or client in side.left_out:
                reason = NONE_FOUND if blocks else NO_OTHERS
                reason = side.left_out.get(client, reason)
                side.teachers.append(TeacherRecord(client, *counts, reason))
                continue
            changed |= self._given(side, client, nets[client], built, counts)
        return changed

    def _given(
        self, side: ServerSide, client: int, own: ChainNet, built: list[tuple[Chain, ChainNet]],
        counts: tuple[int, int, int, int],
    ) -> dict[str, Tensor]:  # fmt: skip
        images = side.federation.club.public_images
        with side.observer.phase("match"):
            said = outputs(own, images)
            side.observer.work(forward(side.family(client), len(images)))
        alphas = [match(side, net, chain, said) for chain, net in built]
        best = max(range(len(built)), key=alphas.__getitem__)
        chain, net = built[best]
        side.teachers.append(self._record(side, client, chain, net, alphas[best], counts))
        prefix = of_client(client)
        return {**over(prefix + TEACHER, state_of(net)), prefix + PATH: path_of(chain.parts)}

    def _pool(self, side: ServerSide, blocks: GroupedBlocks) -> list[Chain]:
        club, found = side.federation.club, []
        with side.observer.phase("search"):
            for parts in self._grown(side, blocks):
                found.append(Chain(parts, club.shape, club.classes))
                if len(found) == self.candidates:
                    break
        return found

    def _grown(self, side: ServerSide, blocks: GroupedBlocks) -> Iterator[tuple[BlockName, ...]]:
        """Yield chains that hold every operation and every group, from each block in turn."""
        parts, random = blocks.pool.parts, side.random

        def rank(part: BlockName) -> int:
            kind = side.federation.shapes(part.family)[part.index].plan.kind
            return RANKS[kind]

        for first in random.permutation(len(parts)):
            path = [parts[first]]
            for i in random.permutation(len(parts)):
                last, part = path[-1], parts[i]
                if part.index > last.index and rank(last) <= rank(part) and rank(last) < 2:
                    path.append(part)
            kinds = {rank(part) for part in path}
            groups = {blocks.group_of(part) for part in path}
            if kinds == {0, 1, 2} and len(groups) == blocks.groups:
                yield tuple(path)
