"""Pull embeddings to the mean of all clients' class prototypes (FedProto, AAAI 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from harness.workloads.personalized.client import Batch, ClientSide, Loss
from harness.workloads.personalized.federation import ClubSetup, Tensors
from harness.workloads.personalized.methods.prototypes import (
    class_means,
    empty_means,
    means_bytes,
)
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide

MEANS = "shared.means"
COUNTS = "shared.counts"


@dataclass(frozen=True)
class FedProto(ClubRule):
    """Train with CE + weight · MSE(embedding, prototype of its class); predict by the head.

    A prototype is the plain mean over the clients that have the class, as in the published code;
    the paper weights by counts.
    """

    weight: float = 1.0

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the prototypes, once there are some."""
        return {name: state[name] for name in (MEANS, COUNTS) if name in state}

    def sent_bytes(self, federation: ClubSetup, sent: Tensors, client: int) -> int:  # noqa: ARG002
        """Return the bytes of the prototypes of classes that anybody has."""
        if MEANS not in sent:
            return 0
        return means_bytes({"counts": sent[COUNTS]}, label=False)

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Train, pulled to the prototypes; return the class means."""
        side.fit(self._pulled(side.sent) if MEANS in side.sent else Batch.cross_entropy)
        return class_means(side)

    def _pulled(self, sent: Tensors) -> Loss:
        means, known = sent[MEANS], sent[COUNTS] > 0

        def loss(batch: Batch) -> Tensor:
            found, has = batch.cross_entropy(), known[batch.labels]
            if not bool(has.any()):
                return found
            target = means[batch.labels[has]]
            return found + self.weight * functional.mse_loss(batch.embedding[has], target)

        return loss

    def finds(self, federation: ClubSetup, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return a mean and a count for every class."""
        return empty_means(federation.club.classes)

    def found_bytes(self, model: Tensors, found: Tensors) -> int:  # noqa: ARG002
        """Return the bytes of the means of classes that the client has."""
        return means_bytes(found, label=False)

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Average each class over the clients that have it; what nobody has stays as it was."""
        means = torch.stack([side.found[client]["means"] for client in side.active])
        has = torch.stack([side.found[client]["counts"] > 0 for client in side.active]).float()
        having = has.sum(0)
        fresh = (means * has[:, :, None]).sum(0) / having.clamp(min=1.0)[:, None]
        before = side.state.get(MEANS, torch.zeros_like(fresh))
        counts = side.state.get(COUNTS, torch.zeros_like(having))
        return {
            MEANS: torch.where((having > 0)[:, None], fresh, before),
            COUNTS: torch.where(having > 0, having, counts),
        }
