"""Say what every way of federating adapters is: its state, what clients get, how they are joined.

Names in a state: `a/LAYER` and `b/LAYER` are a common adapter, `delta/LAYER` what has been added to
a weight for good, `stack.a/LAYER` and `stack.b/LAYER` what is to be added next, share and scale
folded in, `own.K.a/LAYER` the adapter of client K, `weight/NAME` a weight of the base itself,
`sizes` the bytes of every round's stack, `ranks` those that clients have pruned themselves to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from harness.federated.job import Checkpoint
from harness.federated.random_streams import random_stream
from harness.federated.task import Aggregator
from harness.workloads.lora.aggregation.adapters import (
    Adapter,
    LowRank,
    Shapes,
    fresh,
    to_tensors,
)

NUMBER_BYTES = 4
"""Adapters travel and are kept in fp32."""

Trained = Literal["both", "b", "all"]
"""What a client trains: A and B, B alone, or every weight of the base."""

Used = tuple[float, Mapping[str, Tensor], Adapter]
"""A part of an update: its weight, dense tensors by layer, factors by layer."""


@dataclass(frozen=True)
class AdapterFederation:
    """Hold what the rules of one job share: layers, the rank of every client, scale and seed."""

    shapes: Shapes
    ranks: Sequence[int]
    scale: float
    seed: int

    @property
    def top(self) -> int:
        """Return the largest rank."""
        return max(self.ranks)

    def begun(self, rank: int, *names: object) -> Adapter:
        """Return a fresh adapter of the seed and names, alike in every process."""
        return fresh(self.shapes, rank, random_stream(self.seed, "adapter", *names))

    def like(self, rank: int, prefix: str = "") -> dict[str, Tensor]:
        """Return tensors of the names and shapes of an adapter of a rank."""
        factors = {
            name: LowRank(torch.zeros(rank, n), torch.zeros(m, rank))
            for name, (m, n) in self.shapes.items()
        }
        return to_tensors(factors, prefix)

    def zeros(self) -> dict[str, Tensor]:
        """Return dense updates of nothing."""
        return {f"delta/{name}": torch.zeros(shape) for name, shape in self.shapes.items()}


@dataclass(frozen=True)
class Fitting:
    """Say what a model is put on: dense updates, a stack to be added, an adapter to be worn.

    `weights` replaces weights of the base by name.
    """

    deltas: Mapping[str, Tensor] = field(default_factory=dict)
    stack: Adapter = field(default_factory=dict)
    worn: Adapter = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)


class FederatedRule(Protocol):
    """Be one way of federating adapters."""

    trains: ClassVar[Trained]
    pooled: ClassVar[bool]
    """Whether one place trains on the rows of all."""

    def begin(self) -> Checkpoint:
        """Return the state before the first round."""
        ...

    def fitting(self, state: Checkpoint, client: int, round_index: int) -> Fitting:
        """Return what a client begins a round with, from the state or from what it was sent."""
        ...

    def sent(self, state: Checkpoint, client: int) -> Checkpoint:
        """Return what a client that kept nothing is sent, under the names of the state."""
        ...

    def received(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors like those that `sent` gives."""
        ...

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors like those that a client answers with."""
        ...

    def answer(self, client: int, trained: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return what a client answers with: factors, or weights by name, as it trained them."""
        ...

    def aggregator(
        self, state: Checkpoint, clients: Sequence[int], total_weight: float
    ) -> Aggregator:
        """Return what makes the next state."""
        ...

    def served(self, state: Checkpoint) -> Sequence[Fitting]:
        """Return the model that serves, or one for each client."""
        ...

    def used(self, before: Checkpoint, after: Checkpoint) -> list[Used]:
        """Return the update that a round has made, in parts; empty if it has none of its own."""
        ...

    def download(self, state: Checkpoint, client: int, missed: int) -> int:
        """Return the bytes new to a client that has missed so many rounds before this one."""
        ...

    def upload(self, tensors: Mapping[str, Tensor]) -> int:
        """Return the bytes of an answer."""
        ...
