"""Give small devices a narrower cut of one network (HeteroFL, ICLR 2021, arXiv:2010.01264)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.federated.prefixed import over, under
from harness.workloads.personalized.client import Batch, ClientSide
from harness.workloads.personalized.federation import ClubSetup, Tensors, bytes_of, of_client
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide
from models.personalized.blocks import ChainNet
from models.personalized.families import FAMILIES, plan
from models.personalized.shapes import BlockShape, chain

SHARED = "shared.model."
GIVEN = "given."
RATES = (0.25, 0.5, 1.0)
"""Of the families in thirds, those for weak devices first."""


def rate_of(family: str) -> float:
    """Return the share of every width that a client of a family's device class holds."""
    place = list(FAMILIES).index(family)
    return RATES[place * len(RATES) // len(FAMILIES)]


def cut(whole: Tensor, like: torch.Size) -> Tensor:
    """Return the leading slices of a tensor."""
    return whole[tuple(slice(size) for size in like)]


@dataclass(frozen=True)
class HeteroFL(ClubRule):
    """Train the leading slices W[:⌈r·d⌉, :⌈r·k⌉] of one network.

    Activations are scaled by 1/r; logits of classes that a client lacks are masked. The
    flattened map before the embedding is cut by channels, which lead in it.
    """

    one_family: str = "wide"

    def family(self, federation: ClubSetup, client: int) -> str:  # noqa: ARG002
        """Return the one family."""
        return self.one_family

    def shapes(self, federation: ClubSetup, client: int) -> tuple[BlockShape, ...]:
        """Return the client's cut."""
        return self._cut(federation, rate_of(federation.families[client]))

    def _cut(self, federation: ClubSetup, rate: float) -> tuple[BlockShape, ...]:
        plans = plan(self.one_family, federation.club.classes)
        narrow = [replace(p, width=math.ceil(rate * p.width)) for p in plans[:-1]]
        return chain([*narrow, plans[-1]], federation.club.shape)

    def _whole(self, federation: ClubSetup) -> ChainNet:
        return federation.fresh(self._cut(federation, 1.0), self.one_family)

    def built(self, federation: ClubSetup, client: int) -> ChainNet:
        """Return the client's cut, its activations scaled by 1/r.

        The published code scales in training alone, as it judges the whole network; here a client's
        own cut is judged, which was trained with the scale.
        """
        net = super().built(federation, client)
        net.scale = 1.0 / rate_of(federation.families[client])
        return net

    def start(self, federation: ClubSetup, client: int) -> ChainNet:
        """Return the client's cut of the one start."""
        whole = self._whole(federation).state_dict()
        net = federation.fresh(self.shapes(federation, client), self.one_family)
        own = {name: cut(whole[name], t.shape) for name, t in net.state_dict().items()}
        net.load_state_dict(own)
        return net

    def begin(self, federation: ClubSetup) -> dict[str, Tensor]:
        """Return the whole network."""
        return over(SHARED, self._whole(federation).state_dict())

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the client's cut of the whole network."""
        own, whole = under(state, f"{of_client(client)}model."), under(state, SHARED)
        return over(GIVEN, {name: cut(whole[name], t.shape) for name, t in own.items()})

    def takes(self, net: ChainNet, sent: Tensors) -> None:
        """Begin from the cut."""
        net.load_state_dict(under(sent, GIVEN))

    def answers(self, federation: ClubSetup, client: int, logits: Tensor) -> Tensor:
        """Mask the classes that the client lacks, as in training."""
        labels = federation.club.clients[client].train_labels
        return logits.masked_fill(_lacks(labels, federation.club.classes), 0.0)

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Train with scaled activations and the loss masked to own classes."""
        lacks = _lacks(side.images.train_labels, side.club.classes)

        def loss(batch: Batch) -> Tensor:
            return replace(batch, logits=batch.logits.masked_fill(lacks, 0.0)).cross_entropy()

        side.fit(loss)
        return {}

    def found_bytes(self, model: Tensors, found: Tensors) -> int:  # noqa: ARG002
        """Return the bytes of the cut."""
        return bytes_of(model)

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Average every entry over the clients that hold it."""
        whole = under(side.state, SHARED)
        states = [under(side.state, f"{of_client(client)}model.") for client in side.active]
        changed = {}
        for name, before in whole.items():
            total, holders = torch.zeros_like(before), torch.zeros_like(before)
            for state in states:
                cut(total, state[name].shape).add_(state[name])
                cut(holders, state[name].shape).add_(1)
            changed[name] = torch.where(holders > 0, total / holders.clamp(min=1), before)
        return over(SHARED, changed)


def _lacks(labels: Tensor, classes: int) -> Tensor:
    return torch.bincount(labels, minlength=classes) == 0
