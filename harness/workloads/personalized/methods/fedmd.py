"""Agree on the scores of public images, then revisit own data (FedMD, arXiv:1910.03581)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from harness.workloads.personalized.client import Batch, ClientSide
from harness.workloads.personalized.federation import ClubSetup, Tensors, bytes_of
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide

CONSENSUS = "shared.consensus"
SCORES = "scores"
DIGEST_BATCH = 256


@dataclass(frozen=True)
class FedMD(ClubRule):
    """Send class scores of the public images, not weights.

    With labels a client trains on the public images for `pretrain` epochs before its first round.
    Then it fits the mean of all clients' scores for one epoch of large batches (digest: mean
    absolute error of logits, as the published code) and trains on its own images (revisit).
    """

    use_labels: bool = True
    pretrain: int = 15
    public = True

    @property
    def labels(self) -> bool:  # type: ignore[override]
        """Say whether labels of public images are used."""
        return self.use_labels

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the mean scores, once there are some, and whether the client is new."""
        found = {"rounds": state[f"client.{client}.rounds"]}
        return found | ({CONSENSUS: state[CONSENSUS]} if CONSENSUS in state else {})

    def sent_bytes(self, federation: ClubSetup, sent: Tensors, client: int) -> int:  # noqa: ARG002
        """Return the bytes of the scores."""
        return bytes_of({k: v for k, v in sent.items() if k == CONSENSUS})

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Begin with public labels, digest, revisit; return the scores."""
        images, labels = side.club.public_images, side.club.public_labels
        if self.use_labels and not int(side.sent["rounds"]):
            assert labels is not None
            optimizer = side.optimizer(side.net)
            for _ in range(self.pretrain):
                side.epoch(images, labels, Batch.cross_entropy, optimizer)
        if CONSENSUS in side.sent:
            self._digest(side, side.sent[CONSENSUS])
        side.fit()
        return {SCORES: side.logits(images)}

    def _digest(self, side: ClientSide, consensus: Tensor) -> None:
        images = side.club.public_images
        with side.observer.phase("distil"):
            side.epoch(
                images, torch.zeros(len(images), dtype=torch.int64),
                lambda batch: functional.l1_loss(batch.logits, consensus[batch.chosen]),
                side.optimizer(side.net), DIGEST_BATCH,
            )  # fmt: skip

    def finds(self, federation: ClubSetup, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return scores of every public image."""
        return {SCORES: torch.zeros(len(federation.club), federation.club.classes)}

    def found_bytes(self, model: Tensors, found: Tensors) -> int:  # noqa: ARG002
        """Return the bytes of the scores."""
        return bytes_of(found)

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Average the scores."""
        said = [side.found[client][SCORES] for client in side.active]
        return {CONSENSUS: torch.stack(said).mean(0)}
