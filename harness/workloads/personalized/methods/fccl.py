"""Correlate the logits of public images across clients (FCCL, CVPR 2022; by its published code)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.federated.prefixed import over, under
from harness.workloads.personalized.client import Batch, ClientSide, divergence, outputs
from harness.workloads.personalized.federation import (
    ClubSetup,
    Tensors,
    bytes_of,
    of_client,
    state_of,
)
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide
from harness.workloads.personalized.work import forward
from models.personalized.blocks import build

MEAN = "shared.mean"
SCORES = "scores"
ALONE = "alone."
OFF_DIAGONAL = 0.0051


def correlation_loss(own: Tensor, mean: Tensor) -> Tensor:
    """Return Σ_u (c_uu − 1)² + 0.0051 · Σ_{u≠v} (c_uv + 1)², c = Zᵀ Z̄ / b.

    Both logits (images, classes) are standardised per class over the batch.
    """
    matrix = _standard(own).T @ _standard(mean) / len(own)
    on = matrix.diagonal()
    off = matrix[~torch.eye(len(matrix), dtype=torch.bool)]
    return ((on - 1) ** 2).sum() + OFF_DIAGONAL * ((off + 1) ** 2).sum()


def _standard(logits: Tensor) -> Tensor:
    return (logits - logits.mean(0)) / (logits.std(0) + 1e-6)


@dataclass(frozen=True)
class FCCL(ClubRule):
    """Learn with the mean of all logits of public images, and forget neither oneself nor others.

    A round is one epoch on public images by their correlation with the mean, then local epochs with
    CE + KL to the own network of the last round + KL to the own network trained alone at first.
    """

    public = True

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the mean logits, once there are some, and the client's network trained alone."""
        found = over(ALONE, under(state, of_client(client) + ALONE))
        return found | ({MEAN: state[MEAN]} if MEAN in state else {})

    def sent_bytes(self, federation: ClubSetup, sent: Tensors, client: int) -> int:  # noqa: ARG002
        """Return the bytes of the logits: what a client keeps of its own does not travel."""
        return bytes_of({k: v for k, v in sent.items() if k == MEAN})

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Collaborate, then train; return the logits of public images."""
        alone = under(side.sent, ALONE)
        if not alone:  # the first round is training alone
            side.fit()
            return {SCORES: side.logits(side.club.public_images), **over(ALONE, state_of(side.net))}
        own = side.images.train_images
        with side.observer.phase("distil"):
            before, first = side.logits(own), self._said_by(alone, side, own)
            if MEAN in side.sent:
                self._collaborate(side, side.sent[MEAN])

        def loss(batch: Batch) -> Tensor:
            kept = divergence(batch.logits, before[batch.chosen])
            return batch.cross_entropy() + kept + divergence(batch.logits, first[batch.chosen])

        side.fit(loss)
        return {SCORES: side.logits(side.club.public_images), **over(ALONE, alone)}

    @staticmethod
    def _said_by(alone: Tensors, side: ClientSide, images: Tensor) -> Tensor:
        net = build(block.shape for block in side.net.blocks)  # type: ignore[misc]
        net.load_state_dict(alone)
        side.observer.work(forward(side.family, len(images)))
        return outputs(net, images)

    @staticmethod
    def _collaborate(side: ClientSide, mean: Tensor) -> None:
        images = side.club.public_images
        size = min(len(images), 4 * side.training.batch_size)
        # a rest of one image has no deviation to be standardised by
        whole = len(images) - (1 if len(images) % size == 1 else 0)
        side.epoch(
            images[:whole], torch.zeros(whole, dtype=torch.int64),
            lambda batch: correlation_loss(batch.logits, mean[batch.chosen]),
            side.optimizer(side.net), size,
        )  # fmt: skip

    def finds(self, federation: ClubSetup, client: int) -> dict[str, Tensor]:
        """Return scores of every public image, and the network trained alone."""
        net = self.start(federation, client)
        scores = torch.zeros(len(federation.club), federation.club.classes)
        return {SCORES: scores, **over(ALONE, net.state_dict())}

    def kept(self, found: Tensors, client: int) -> dict[str, Tensor]:
        """Keep the network trained alone."""
        return over(of_client(client) + ALONE, under(found, ALONE))

    def found_bytes(self, model: Tensors, found: Tensors) -> int:  # noqa: ARG002
        """Return the bytes of the scores."""
        return bytes_of({SCORES: found[SCORES]})

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Average the logits."""
        said = [side.found[client][SCORES] for client in side.active]
        return {MEAN: torch.stack(said).mean(0)}
