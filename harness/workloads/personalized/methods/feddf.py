"""Average each family, then distil the ensemble of all into it (FedDF, NeurIPS 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.federated.prefixed import over, under
from harness.workloads.personalized.client import outputs
from harness.workloads.personalized.federation import (
    ClubSetup,
    Tensors,
    bytes_of,
    mean_of,
    of_client,
    state_of,
)
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide
from harness.workloads.personalized.server.tuning import BATCH, toward
from harness.workloads.personalized.work import forward, training
from models.personalized.blocks import ChainNet, build


@dataclass(frozen=True)
class FedDF(ClubRule):
    """Minimise KL(softmax(mean of all clients' logits) ‖ softmax(student)) on public images.

    Adam at 1e-3 with a cosine, at most `steps` of them, fewer if `patience` of them in a row bring
    no lower loss. Labels are not used.
    """

    steps: int = 100
    patience: int = 30
    rate: float = 1e-3
    server_public = True

    def begin(self, federation: ClubSetup) -> dict[str, Tensor]:
        """Return the start of each family."""
        found: dict[str, Tensor] = {}
        for client, family in enumerate(federation.families):
            found |= over(_shared(family), self.start(federation, client).state_dict())
        return found

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:
        """Return the network of the client's family."""
        own = _shared(federation.families[client])
        return over("given.", under(state, own))

    def takes(self, net: ChainNet, sent: Tensors) -> None:
        """Begin from the family's network."""
        net.load_state_dict(under(sent, "given."))

    def found_bytes(self, model: Tensors, found: Tensors) -> int:  # noqa: ARG002
        """Return the bytes of the network."""
        return bytes_of(model)

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Average within families and distil the ensemble into each average."""
        images = side.federation.club.public_images
        with side.observer.phase("distil"):
            said = []
            for client in side.active:
                said.append(outputs(side.net(client), images))
                side.observer.work(forward(side.family(client), len(images)))
            ensemble = torch.stack(said).mean(0)
        changed: dict[str, Tensor] = {}
        for family in sorted({side.family(client) for client in side.active}):
            kin = [client for client in side.active if side.family(client) == family]
            states = [under(side.state, f"{of_client(client)}model.") for client in kin]
            net = build(side.rule.shapes(side.federation, kin[0]))
            net.load_state_dict(mean_of(states, [side.weight(client) for client in kin]))
            with side.observer.phase("distil"):
                self._distil(side, net, family, ensemble)
            changed |= over(_shared(family), state_of(net))
        return changed

    def _distil(self, side: ServerSide, net: ChainNet, family: str, ensemble: Tensor) -> None:
        images = side.federation.club.public_images
        loss, random = toward(net, images, ensemble), side.torch_random()
        optimizer = torch.optim.Adam(net.parameters(), self.rate)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(self.steps, 1))
        best, since, seen = float("inf"), 0, 0
        net.eval()  # statistics of batch norm stay those of the clients
        for _ in range(self.steps):
            chosen = torch.randint(len(images), (min(BATCH, len(images)),), generator=random)
            found = loss(chosen)
            optimizer.zero_grad(set_to_none=True)
            found.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            falling.step()
            seen += len(chosen)
            value = float(found.detach())
            best, since = (value, 0) if value < best else (best, since + 1)
            if since >= self.patience:
                break
        side.observer.work(training(family, seen))


def _shared(family: str) -> str:
    return f"shared.{family}."
