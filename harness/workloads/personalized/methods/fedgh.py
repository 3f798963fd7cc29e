"""Train one head on all clients' class means (FedGH, arXiv:2303.13137)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from harness.federated.prefixed import over, under
from harness.workloads.personalized.client import ClientSide
from harness.workloads.personalized.federation import ClubSetup, Tensors, state_of
from harness.workloads.personalized.methods.prototypes import (
    class_means,
    empty_means,
    means_bytes,
)
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide
from harness.workloads.personalized.server.tuning import descend
from models.personalized.blocks import ChainNet, NetBlock

HEAD = "shared.head."


@dataclass(frozen=True)
class FedGH(ClubRule):
    """Take a head that the server trains on the clients' mean embeddings with their labels."""

    epochs: int = 20
    rate: float = 0.01

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the head, once there is one."""
        return over(HEAD, under(state, HEAD))

    def takes(self, net: ChainNet, sent: Tensors) -> None:
        """Put the common head on."""
        if sent:
            net.blocks[-1].load_state_dict(under(sent, HEAD))

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Train on own labels; return the class means."""
        side.fit()
        return class_means(side)

    def finds(self, federation: ClubSetup, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return a mean and a count for every class."""
        return empty_means(federation.club.classes)

    def found_bytes(self, model: Tensors, found: Tensors) -> int:  # noqa: ARG002
        """Return the bytes of the means of classes that the client has, each with its label."""
        return means_bytes(found, label=True)

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Train the head with cross-entropy, from the one before or a client's first."""
        pairs = [(found["means"][label], label) for client in side.active
                 for found in (side.found[client],)
                 for label in torch.nonzero(found["counts"]).flatten().tolist()]  # fmt: skip
        means = torch.stack([mean for mean, _ in pairs])
        labels = torch.tensor([label for _, label in pairs])
        head = side.rule.start(side.federation, 0).blocks[-1]
        assert isinstance(head, NetBlock)
        if under(side.state, HEAD):
            head.load_state_dict(under(side.state, HEAD))
        with side.observer.phase("tune"):
            descend(
                head.parameters(), len(means),
                lambda chosen: functional.cross_entropy(head(means[chosen]), labels[chosen]),
                self.epochs, self.rate, side.torch_random(),
            )  # fmt: skip
        return over(HEAD, state_of(head))  # type: ignore[arg-type]
