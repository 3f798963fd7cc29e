"""Train every weight federatedly, every client alone, or the rows of all in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from harness.federated.job import Checkpoint
from harness.federated.server import FederatedAverage
from harness.federated.task import Aggregator
from harness.workloads.lora.aggregation.adapters import (
    cut,
    from_tensors,
    size_bytes,
    to_tensors,
)
from harness.workloads.lora.aggregation.sums import KeptUpdates, Mean
from harness.workloads.lora.averaging_rules import FactorAveraging
from harness.workloads.lora.rules import AdapterFederation, Fitting, Trained, Used


@dataclass(frozen=True)
class Whole:
    """Train and average every weight of the base (FedAvg)."""

    federation: AdapterFederation
    base: Mapping[str, Tensor] = field(default_factory=dict)
    trains: ClassVar[Trained] = "all"
    pooled: ClassVar[bool] = False

    def begin(self) -> Checkpoint:
        """Return the weights of the base."""
        return Checkpoint({f"weight/{name}": tensor.clone() for name, tensor in self.base.items()})

    def fitting(self, state: Checkpoint, client: int, round_index: int) -> Fitting:  # noqa: ARG002
        """Return all weights."""
        return Fitting(weights={n.removeprefix("weight/"): t for n, t in state.tensors.items()})

    def sent(self, state: Checkpoint, client: int) -> Checkpoint:  # noqa: ARG002
        """Return all weights."""
        return state

    def received(self, client: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Return all weights."""
        return {f"weight/{name}": tensor for name, tensor in self.base.items()}

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return all weights."""
        return self.received(client)

    def answer(self, client: int, trained: Mapping[str, Tensor]) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Return all weights."""
        return {f"weight/{name}": tensor for name, tensor in trained.items()}

    def aggregator(
        self,
        state: Checkpoint,  # noqa: ARG002
        clients: Sequence[int],  # noqa: ARG002
        total_weight: float,
    ) -> Aggregator:
        """Return the mean of all weights."""
        return FederatedAverage(total_weight)

    def served(self, state: Checkpoint) -> Sequence[Fitting]:
        """Return all weights."""
        return [self.fitting(state, 0, 0)]

    def used(self, before: Checkpoint, after: Checkpoint) -> list[Used]:  # noqa: ARG002
        """Return nothing: means of weights are exact by themselves."""
        return []

    def download(self, state: Checkpoint, client: int, missed: int) -> int:  # noqa: ARG002
        """Return the bytes of all weights."""
        return state.bytes

    def upload(self, tensors: Mapping[str, Tensor]) -> int:
        """Return the bytes of all weights."""
        return size_bytes(tensors.values())


@dataclass(frozen=True)
class Alone(FactorAveraging):
    """Let every client train an adapter of its own that nobody else sees."""

    def begin(self) -> Checkpoint:
        """Return the clients' own adapters."""
        found: dict[str, Tensor] = {}
        for client, rank in enumerate(self.federation.ranks):
            own = self.federation.begun(rank, "own", client)
            found |= to_tensors(own, f"own.{client}.")
        return Checkpoint(found)

    def fitting(self, state: Checkpoint, client: int, round_index: int) -> Fitting:  # noqa: ARG002
        """Return the client's own adapter."""
        own = from_tensors(state.tensors, f"own.{client}.")
        return Fitting(worn=cut(own, self.federation.ranks[client]))

    def sent(self, state: Checkpoint, client: int) -> Checkpoint:
        """Return the client's own adapter: here a device keeps nothing between rounds."""
        own = {n: t for n, t in state.tensors.items() if n.startswith(f"own.{client}.")}
        return Checkpoint(own)

    def received(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the client's rank."""
        return self.federation.like(self.federation.ranks[client], f"own.{client}.")

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the client's rank."""
        return self.received(client)

    def answer(self, client: int, trained: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return both factors under the client's name."""
        return {f"own.{client}.{name}": tensor for name, tensor in trained.items()}

    def aggregator(
        self,
        state: Checkpoint,
        clients: Sequence[int],  # noqa: ARG002
        total_weight: float,  # noqa: ARG002
    ) -> Aggregator:
        """Return what keeps them apart."""
        return KeptUpdates(state)

    def served(self, state: Checkpoint) -> Sequence[Fitting]:
        """Return the model of every client."""
        return [self.fitting(state, client, 0) for client in range(len(self.federation.ranks))]

    def used(self, before: Checkpoint, after: Checkpoint) -> list[Used]:  # noqa: ARG002
        """Return nothing."""
        return []

    def download(self, state: Checkpoint, client: int, missed: int) -> int:  # noqa: ARG002
        """Return 0."""
        return 0

    def upload(self, tensors: Mapping[str, Tensor]) -> int:  # noqa: ARG002
        """Return 0."""
        return 0


@dataclass(frozen=True)
class Pooled(FactorAveraging):
    """Train one adapter of the largest rank on the rows of all clients in one place."""

    pooled: ClassVar[bool] = True

    def fitting(self, state: Checkpoint, client: int, round_index: int) -> Fitting:  # noqa: ARG002
        """Return the adapter."""
        return Fitting(worn=cut(from_tensors(state.tensors), self.federation.top))

    def received(self, client: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Return tensors of the largest rank."""
        return self.federation.like(self.federation.top)

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the largest rank."""
        return self.received(client)

    def aggregator(
        self,
        state: Checkpoint,  # noqa: ARG002
        clients: Sequence[int],  # noqa: ARG002
        total_weight: float,
    ) -> Aggregator:
        """Return the adapter as it is."""
        return Mean(self.federation.like(self.federation.top), total_weight, Checkpoint)

    def used(self, before: Checkpoint, after: Checkpoint) -> list[Used]:  # noqa: ARG002
        """Return nothing."""
        return []

    def download(self, state: Checkpoint, client: int, missed: int) -> int:  # noqa: ARG002
        """Return 0."""
        return 0

    def upload(self, tensors: Mapping[str, Tensor]) -> int:  # noqa: ARG002
        """Return 0."""
        return 0
