"""Average networks of one family (FedAvg, AISTATS 2017)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from harness.federated.prefixed import over, under
from harness.workloads.personalized.federation import (
    ClubSetup,
    Tensors,
    bytes_of,
    mean_of,
    of_client,
)
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide
from models.personalized.blocks import ChainNet

SHARED = "shared.model."


@dataclass(frozen=True)
class FedAvg(ClubRule):
    """Give every client one family's network and average it, weighted by training images."""

    one_family: str = "small"

    def family(self, federation: ClubSetup, client: int) -> str:  # noqa: ARG002
        """Return the one family."""
        return self.one_family

    def begin(self, federation: ClubSetup) -> dict[str, Tensor]:
        """Return the common start."""
        return over(SHARED, self.start(federation, 0).state_dict())

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the average."""
        return over(SHARED, under(state, SHARED))

    def takes(self, net: ChainNet, sent: Tensors) -> None:
        """Begin from the average."""
        net.load_state_dict(under(sent, SHARED))

    def found_bytes(self, model: Tensors, found: Tensors) -> int:  # noqa: ARG002
        """Return the bytes of the network."""
        return bytes_of(model)

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Average those that trained."""
        states = [under(side.state, f"{of_client(client)}model.") for client in side.active]
        return over(SHARED, mean_of(states, [side.weight(client) for client in side.active]))
