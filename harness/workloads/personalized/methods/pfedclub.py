"""Put a teacher together for each client from all clients' blocks (pFedClub, NeurIPS 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.federated.prefixed import over, under
from harness.workloads.personalized.client import ClientSide, accuracy, outputs
from harness.workloads.personalized.federation import (
    ClubSetup,
    Tensors,
    bytes_of,
    of_client,
    state_of,
)
from harness.workloads.personalized.job import TeacherRecord
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide
from harness.workloads.personalized.methods.teaching import (
    PATH,
    TEACHER,
    path_of,
    sent_teacher,
    taught,
    teacher_bytes,
    teacher_logits,
)
from harness.workloads.personalized.server.blocks_of_clients import (
    GroupedBlocks,
    average_owner,
    family_averages,
    grouped,
    parts_of,
    sound_nets,
)
from harness.workloads.personalized.server.candidates import (
    Tuning,
    build_candidate,
    match,
    some_of,
)
from harness.workloads.personalized.server.search import chains
from harness.workloads.personalized.work import forward
from models.personalized.assembly import Chain
from models.personalized.blocks import ChainNet

NO_OTHERS = "no other client's blocks"
TOO_LARGE = "no candidate within the limit of size"
NONE_FOUND = "no chain but its own"


@dataclass(frozen=True)
class Found:
    """Hold what a search came to: the chains, how many there were, how many fit."""

    chains: list[Chain]
    searched: int
    fit: int


@dataclass(frozen=True)
class PFedClub(ClubRule):
    """Group blocks by likeness, search chains under a limit of size, stitch, tune, match.

    `limit` is η: a teacher has at most (1 + η) times the parameters of its client's network; None
    is no limit. With `average` the blocks of families' averages are grouped in place of every
    client's, so that the server's work does not grow with the square of the clients.
    """

    groups: int = 4
    limit: float | None = None
    candidates: int = 3
    weight: float = 0.2
    tune: int = 3
    rate: float = 3e-3
    use_labels: bool = True
    average: bool = False
    own: bool = False
    server_public = True
    compares_blocks = True

    @property
    def labels(self) -> bool:  # type: ignore[override]
        """Say whether labels of public images are used."""
        return self.use_labels

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the teacher made when the client was last drawn; none the first time."""
        return sent_teacher(under(state, of_client(client)))

    def sent_bytes(self, federation: ClubSetup, sent: Tensors, client: int) -> int:  # noqa: ARG002
        """Return the bytes of the teacher's weights."""
        return teacher_bytes(sent)

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Train with the teacher's logits beside the labels; alone without a teacher."""
        teacher = teacher_logits(side) if self.weight else None
        if teacher is None:
            side.fit()
        else:
            side.fit(taught(teacher, self.weight))
        return {}

    def found_bytes(self, model: Tensors, found: Tensors) -> int:  # noqa: ARG002
        """Return the bytes of the client's network."""
        return bytes_of(model)

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Make a teacher for every client that trained; one that gets none keeps none."""
        nets = sound_nets(side)
        compared = family_averages(side, nets) if self.average else dict(nets)
        families = {owner: side.family(owner) for owner in nets}
        families |= {average_owner(family): family for family in families.values()}
        blocks = grouped(side, compared, families, self.groups) if len(nets) > 1 else None
        changed: dict[str, Tensor] = {}
        for client in side.active:
            own = nets.get(client)
            if blocks is None or own is None or client in side.left_out:
                side.teachers.append(TeacherRecord(
                    client, 0, 0, 0, 0, side.left_out.get(client, NO_OTHERS),
                ))  # fmt: skip
                changed |= without_teacher(side, client)
                continue
            changed |= self._teacher(side, client, own, blocks)
        return changed

    def _search(self, side: ServerSide, client: int, blocks: GroupedBlocks) -> Found:
        family = side.family(client)
        own = parts_of(client, family)
        asked = parts_of(average_owner(family), family) if self.average else own
        club = side.federation.club
        with side.observer.phase("search"):
            found = [
                Chain(parts, club.shape, club.classes)
                for parts in chains(own, [blocks.group_of(p) for p in asked], blocks.pool,
                                    side.random)
            ]  # fmt: skip
            others = found if self.own else [chain for chain in found if chain.parts != own]
            fit = [chain for chain in others if self.fits(chain, side, client)]
        return Found(fit, len(found), len(fit))

    def fits(self, chain: Chain, side: ServerSide, client: int) -> bool:
        """Say whether a chain keeps the limit, from its shapes: nothing is built for that."""
        if self.limit is None:
            return True
        own = sum(s.parameters for s in side.rule.shapes(side.federation, client))
        return chain.parameters <= (1.0 + self.limit) * own

    def _teacher(
        self, side: ServerSide, client: int, own: ChainNet, blocks: GroupedBlocks
    ) -> dict[str, Tensor]:
        found = self._search(side, client, blocks)
        tried = some_of(found.chains, self.candidates, side)
        counts = blocks.groups, found.searched, found.fit, len(tried)
        if not tried:
            reason = TOO_LARGE if found.searched > 1 or self.limit is not None else NONE_FOUND
            side.teachers.append(TeacherRecord(client, *counts, reason))
            return without_teacher(side, client)
        completed = GroupedBlocks({**blocks.nets, client: own}, blocks.images, blocks.pool,
                                  self._used_to(side, client, own, blocks))  # fmt: skip
        chain, net, alpha = self._best(side, client, own, completed, tried)
        side.teachers.append(self._record(side, client, chain, net, alpha, counts))
        prefix = of_client(client)
        return {
            **without_teacher(side, client),
            **over(prefix + TEACHER, state_of(net)),
            prefix + PATH: path_of(chain.parts),
        }

    def _used_to(self, side: ServerSide, client: int, own: ChainNet, blocks: GroupedBlocks) -> dict:  # type: ignore[type-arg]
        """Return what each block takes; with averages the client's own are not among them yet."""
        if not self.average:
            return blocks.used_to
        found, features = dict(blocks.used_to), blocks.images
        with side.observer.phase("stitch"), torch.no_grad():
            for part, block in zip(parts_of(client, side.family(client)), own.blocks, strict=True):
                found[part] = features
                features = block(features)
            side.observer.work(forward(side.family(client), len(blocks.images)))
        return found

    def _best(
        self, side: ServerSide, client: int, own: ChainNet, blocks: GroupedBlocks,
        tried: list[Chain],
    ) -> tuple[Chain, ChainNet, float]:  # fmt: skip
        """Return the candidate most like the client's network; two are in memory at a time."""
        images = side.federation.club.public_images
        with side.observer.phase("match"):
            said = outputs(own, images)
            side.observer.work(forward(side.family(client), len(images)))
        how = Tuning(self.tune, self.rate, self.use_labels)
        best: tuple[Chain, ChainNet, float] | None = None
        for chain in tried:
            net = build_candidate(side, chain, blocks, how)
            alpha = match(side, net, chain, said)
            if best is None or alpha > best[2]:
                best = chain, net, alpha
        assert best is not None
        return best

    def _record(
        self, side: ServerSide, client: int, chain: Chain, net: ChainNet, alpha: float,
        counts: tuple[int, int, int, int],
    ) -> TeacherRecord:  # fmt: skip
        own = side.federation.club.clients[client]
        with side.observer.phase("evaluate"):
            right = None
            if len(own.test_labels):
                right = accuracy(net, own.test_images, own.test_labels)
        family = side.family(client)
        foreign = sum(part.owner != client for part in chain.parts)
        return TeacherRecord(
            client, *counts, alpha=alpha, teacher_parameters=net.parameter_count,
            parameters=sum(s.parameters for s in side.rule.shapes(side.federation, client)),
            stitch_parameters=chain.stitch_parameters, foreign_blocks=foreign,
            own_won=chain.parts == parts_of(client, family), teacher_accuracy=right,
            path=chain.text,
        )  # fmt: skip


def without_teacher(side: ServerSide, client: int) -> dict[str, Tensor]:
    """Return the client's old teacher, if it has one, as what is to be taken from the state."""
    own = under(side.state, of_client(client))
    return {of_client(client) + name: GONE for name in sent_teacher(own)}


GONE = torch.empty(0)
"""In what a server changes: the tensor of that name is no more."""
