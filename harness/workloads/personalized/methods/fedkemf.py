"""Send a small knowledge network beside the own one (FedKEMF, arXiv:2208.07978)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.federated.prefixed import over, under
from harness.workloads.personalized.client import Batch, ClientSide, divergence, outputs
from harness.workloads.personalized.federation import ClubSetup, Tensors, bytes_of, state_of
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide
from harness.workloads.personalized.server.tuning import descend, toward
from harness.workloads.personalized.work import forward, training
from models.personalized.blocks import ChainNet, build

SHARED = "shared.knowledge."
OWN = "knowledge."


@dataclass(frozen=True)
class FedKEMF(ClubRule):
    """Train own and knowledge network by mutual KL; only the latter travels.

    The server distils the ensemble of the clients' knowledge networks into one, on public images
    without labels.
    """

    knowledge: str = "tiny"
    epochs: int = 3
    server_public = True

    def _net(self, federation: ClubSetup) -> ChainNet:
        return federation.fresh(federation.shapes(self.knowledge), f"knowledge {self.knowledge}")

    def begin(self, federation: ClubSetup) -> dict[str, Tensor]:
        """Return the knowledge network's start."""
        return over(SHARED, self._net(federation).state_dict())

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the knowledge network."""
        return over(SHARED, under(state, SHARED))

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Train both networks on each batch, each with CE and KL to the other."""
        from models.personalized.families import shapes  # noqa: PLC0415 - light

        club, own = side.club, side.images
        small = build(shapes(self.knowledge, club.shape, club.classes))
        small.load_state_dict(under(side.sent, SHARED))
        small.train()
        second = side.optimizer(small)

        def loss(batch: Batch) -> Tensor:
            logits = small(batch.images)
            theirs = torch.nn.functional.cross_entropy(logits, batch.labels)
            theirs = theirs + divergence(logits, batch.logits)
            second.zero_grad(set_to_none=True)
            theirs.backward()  # type: ignore[no-untyped-call]
            second.step()
            return batch.cross_entropy() + divergence(batch.logits, logits)

        side.fit(loss)
        side.observer.work(training(self.knowledge, side.training.epochs * len(own.train_labels)))
        return over(OWN, state_of(small))

    def finds(self, federation: ClubSetup, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return a knowledge network."""
        return over(OWN, self._net(federation).state_dict())

    def found_bytes(self, model: Tensors, found: Tensors) -> int:  # noqa: ARG002
        """Return the bytes of the knowledge network."""
        return bytes_of(found)

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Distil the ensemble of knowledge networks into the common one."""
        fed, images = side.federation, side.federation.club.public_images
        said = []
        with side.observer.phase("distil"):
            for client in side.active:
                net = build(fed.shapes(self.knowledge))
                net.load_state_dict(under(side.found[client], OWN))
                said.append(outputs(net, images))
                side.observer.work(forward(self.knowledge, len(images)))
            student = build(fed.shapes(self.knowledge))
            student.load_state_dict(under(side.state, SHARED))
            student.eval()
            loss = toward(student, images, torch.stack(said).mean(0))
            descend(
                student.parameters(), len(images), loss,
                self.epochs, fed.training.learning_rate, side.torch_random(),
            )  # fmt: skip
            side.observer.work(training(self.knowledge, self.epochs * len(images)))
        return over(SHARED, state_of(student))
