"""Define what a method decides: what clients are sent, how they train, what the server makes of it.

The rule as it stands is local training alone; a method replaces what it does otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from harness.federated.observer import Observer
from harness.federated.prefixed import under
from harness.workloads.personalized.client import ClientSide
from harness.workloads.personalized.federation import ClubSetup, Tensors, of_client
from harness.workloads.personalized.job import TeacherRecord
from models.personalized.blocks import ChainNet, build
from models.personalized.shapes import BlockShape


@dataclass
class ServerSide:
    """Hold one round of the server, after its clients have trained.

    Attributes:
        federation: data, families, seed.
        rule: the method's.
        state: all tensors, those of the clients that trained already in place.
        active: clients that trained.
        found: what they sent beside their networks.
        round_index: which.
        random: the server's own.
        observer: hears of phases and work.
        teachers: what a search for teachers came to.
        left_out: clients that could not be used, and why.
    """

    federation: ClubSetup
    rule: ClubRule
    state: Tensors
    active: Sequence[int]
    found: Mapping[int, Tensors]
    round_index: int
    random: np.random.Generator
    observer: Observer
    teachers: list[TeacherRecord] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)

    def net(self, client: int) -> ChainNet:
        """Return a client's network as it has trained it, in eval mode."""
        net = self.rule.built(self.federation, client)
        net.load_state_dict(under(self.state, f"{of_client(client)}model."))
        net.eval()
        return net

    def family(self, client: int) -> str:
        """Return the family of a client's network."""
        return self.rule.family(self.federation, client)

    def weight(self, client: int) -> float:
        """Return a client's training images."""
        return float(len(self.federation.club.clients[client].train_labels))

    def torch_random(self) -> torch.Generator:
        """Return a generator of torch's that the server's own seeds."""
        return torch.Generator().manual_seed(int(self.random.integers(2**63 - 1)))


class ClubRule:
    """Be local training alone, the reference of all methods: nothing travels."""

    public = False
    """Whether clients use public images, which are then sent to each once."""

    labels = False
    """Whether the method needs labels of public images."""

    server_public = False
    """Whether the server uses public images."""

    compares_blocks = False
    """Whether blocks are compared over public images, of which it then needs enough."""

    def family(self, federation: ClubSetup, client: int) -> str:
        """Return the family of a client's network."""
        return federation.families[client]

    def shapes(self, federation: ClubSetup, client: int) -> tuple[BlockShape, ...]:
        """Return the blocks of a client's network."""
        return federation.shapes(self.family(federation, client))

    def built(self, federation: ClubSetup, client: int) -> ChainNet:
        """Return a network for a client's weights."""
        return build(self.shapes(federation, client))

    def start(self, federation: ClubSetup, client: int) -> ChainNet:
        """Return a client's network before the first round; clients of a family begin alike."""
        own = self.shapes(federation, client)
        return federation.fresh(own, self.family(federation, client))

    def begin(self, federation: ClubSetup) -> dict[str, Tensor]:  # noqa: ARG002
        """Return what the state holds beside the clients' networks before the first round."""
        return {}

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return what of the state a client gets, beside its own network."""
        return {}

    def sent_bytes(self, federation: ClubSetup, sent: Tensors, client: int) -> int:  # noqa: ARG002
        """Return the bytes of that as the method sends them."""
        return sum(t.numel() * t.element_size() for t in sent.values())

    def takes(self, net: ChainNet, sent: Tensors) -> None:
        """Let a client's network take from what it was sent before it trains."""

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Train a client; return what it sends beside its network."""
        side.fit()
        return {}

    def answers(self, federation: ClubSetup, client: int, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Return the logits of a client's test images as it answers by them."""
        return logits

    def finds(self, federation: ClubSetup, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return tensors of the names, shapes and types of what `train` returns."""
        return {}

    def kept(self, found: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return what of it the state keeps of a client for its own later use."""
        return {}

    def found_bytes(self, model: Tensors, found: Tensors) -> int:  # noqa: ARG002
        """Return the bytes that a client sends to the server."""
        return 0

    def serve(self, side: ServerSide) -> dict[str, Tensor]:  # noqa: ARG002
        """Let the server work; return the tensors of the state that change."""
        return {}
