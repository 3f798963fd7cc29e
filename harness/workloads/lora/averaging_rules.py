"""Average adapters apart: FedIT, zero-padding, HetLoRA, FFA-LoRA, and FedIT made exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.federated.job import Checkpoint
from harness.federated.task import Aggregator
from harness.records.work import Work
from harness.workloads.lora.aggregation.adapters import (
    Adapter,
    cut,
    from_tensors,
    numbers,
    rank_of,
    size_bytes,
    to_tensors,
)
from harness.workloads.lora.aggregation.sums import Mean
from harness.workloads.lora.rules import NUMBER_BYTES, AdapterFederation, Fitting, Trained, Used


@dataclass(frozen=True)
class FactorAveraging:
    """Average A and B apart, zero-padded where ranks differ; implements `Rule`."""

    federation: AdapterFederation
    trains: ClassVar[Trained] = "both"
    pooled: ClassVar[bool] = False

    def begin(self) -> Checkpoint:
        """Return one adapter of the largest rank, which all clients begin with."""
        return Checkpoint(to_tensors(self.federation.begun(self.federation.top, "common")))

    def fitting(self, state: Checkpoint, client: int, round_index: int) -> Fitting:  # noqa: ARG002
        """Return the first rows and columns of the common adapter."""
        return Fitting(worn=cut(from_tensors(state.tensors), self.federation.ranks[client]))

    def sent(self, state: Checkpoint, client: int) -> Checkpoint:
        """Return the first rows and columns of the common adapter."""
        return Checkpoint(to_tensors(self.fitting(state, client, 0).worn))

    def received(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the client's rank."""
        return self.federation.like(self.federation.ranks[client])

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the client's rank."""
        return self.federation.like(self.federation.ranks[client])

    def answer(self, client: int, trained: Mapping[str, Tensor]) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Return both factors."""
        return trained

    def aggregator(
        self,
        state: Checkpoint,  # noqa: ARG002 - the next follows from the answers alone
        clients: Sequence[int],  # noqa: ARG002
        total_weight: float,
    ) -> Aggregator:
        """Return the mean of the factors."""
        return Mean(self.federation.like(self.federation.top), total_weight, Checkpoint)

    def served(self, state: Checkpoint) -> Sequence[Fitting]:
        """Return the base with the common adapter."""
        return [Fitting(worn=from_tensors(state.tensors))]

    def used(self, before: Checkpoint, after: Checkpoint) -> list[Used]:  # noqa: ARG002
        """Return the product of the means."""
        return [(self.federation.scale, {}, from_tensors(after.tensors))]

    def download(self, state: Checkpoint, client: int, missed: int) -> int:  # noqa: ARG002
        """Return the bytes of the client's part of the common adapter."""
        return NUMBER_BYTES * numbers(self.federation.shapes, self.federation.ranks[client])

    def upload(self, tensors: Mapping[str, Tensor]) -> int:
        """Return the bytes of both factors."""
        return size_bytes(tensors.values())


@dataclass(frozen=True)
class Frozen(FactorAveraging):
    """Train and average B alone; A is one for all and follows from the seed (FFA-LoRA)."""

    trains: ClassVar[Trained] = "b"

    def begin(self) -> Checkpoint:
        """Return B of the largest rank: zeros."""
        return Checkpoint(_only_b(super().begin().tensors))

    def _whole(self, state: Checkpoint) -> Adapter:
        common = to_tensors(self.federation.begun(self.federation.top, "common"))
        both = {}
        for name, b in state.tensors.items():
            layer = name.removeprefix("b/")
            both[f"a/{layer}"], both[f"b/{layer}"] = common[f"a/{layer}"][: b.shape[1]], b
        return from_tensors(both)

    def fitting(self, state: Checkpoint, client: int, round_index: int) -> Fitting:  # noqa: ARG002
        """Return the client's columns of B with its rows of the common A."""
        return Fitting(worn=cut(self._whole(state), self.federation.ranks[client]))

    def sent(self, state: Checkpoint, client: int) -> Checkpoint:
        """Return the client's columns of B."""
        return Checkpoint(_only_b(super().sent(state, client).tensors))

    def received(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of B."""
        return _only_b(super().received(client))

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of B."""
        return _only_b(super().expected(client))

    def answer(self, client: int, trained: Mapping[str, Tensor]) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Return B."""
        return _only_b(trained)

    def aggregator(
        self,
        state: Checkpoint,  # noqa: ARG002
        clients: Sequence[int],  # noqa: ARG002
        total_weight: float,
    ) -> Aggregator:
        """Return the mean of B."""
        return Mean(_only_b(self.federation.like(self.federation.top)), total_weight, Checkpoint)

    def served(self, state: Checkpoint) -> Sequence[Fitting]:
        """Return the base with the common adapter."""
        return [Fitting(worn=self._whole(state))]

    def used(self, before: Checkpoint, after: Checkpoint) -> list[Used]:  # noqa: ARG002
        """Return the product of the common A and the mean of B."""
        return [(self.federation.scale, {}, self._whole(after))]

    def download(self, state: Checkpoint, client: int, missed: int) -> int:  # noqa: ARG002
        """Return the bytes of the client's columns of B."""
        own = self.federation.ranks[client]
        return NUMBER_BYTES * numbers(self.federation.shapes, own, only_b=True)


def _only_b(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith("b/")}


@dataclass(frozen=True)
class ByNorm(FactorAveraging):
    """Weigh updates by their norm and let clients prune their ranks (HetLoRA, EMNLP 2024).

    A client that pruned itself sends and trains fewer rows and columns; on the wire of a fleet they
    stand as zeros, so that shapes stay.
    """

    def begin(self) -> Checkpoint:
        """Return the common adapter, and ranks as they were given."""
        ranks = torch.tensor(list(self.federation.ranks), dtype=torch.int64)
        return Checkpoint({**super().begin().tensors, "ranks": ranks})

    def fitting(self, state: Checkpoint, client: int, round_index: int) -> Fitting:  # noqa: ARG002
        """Return the rows and columns that the client has kept."""
        worn = cut(from_tensors(state.tensors), self.federation.ranks[client])
        ranks = state.tensors["ranks"]
        kept = int(ranks[client] if len(ranks) > 1 else ranks[0])
        return Fitting(worn=cut(worn, kept))

    def sent(self, state: Checkpoint, client: int) -> Checkpoint:
        """Return the client's part of the adapter, and the rank it has kept."""
        worn = cut(from_tensors(state.tensors), self.federation.ranks[client])
        kept = state.tensors["ranks"][client : client + 1]
        return Checkpoint({**to_tensors(worn), "ranks": kept})

    def received(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the client's rank, and one for the rank it has kept."""
        return {**super().received(client), "ranks": torch.zeros(1, dtype=torch.int64)}

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the client's rank, and client and rank in numbers."""
        return {**super().expected(client), "kept": torch.zeros(2, dtype=torch.int64)}

    def answer(self, client: int, trained: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the factors with zeros for what was pruned, and the rank that is kept."""
        whole = self.federation.like(self.federation.ranks[client])
        for name, tensor in trained.items():
            whole[name][: tensor.shape[0], : tensor.shape[1]] = tensor
        kept = rank_of(from_tensors(trained))
        return {**whole, "kept": torch.tensor([client, kept], dtype=torch.int64)}

    def aggregator(
        self,
        state: Checkpoint,
        clients: Sequence[int],  # noqa: ARG002
        total_weight: float,
    ) -> Aggregator:
        """Return the mean weighed by norms, with the ranks that clients have kept."""
        ranks = state.tensors["ranks"].clone()
        like = self.federation.like(self.federation.top)
        mean = Mean(
            like, total_weight, lambda found: Checkpoint({**found, "ranks": ranks}), by_norm=True
        )
        return _Noting(mean, lambda kept: _note(ranks, kept))

    def download(self, state: Checkpoint, client: int, missed: int) -> int:  # noqa: ARG002
        """Return the bytes of the rows and columns that the client has kept."""
        kept = int(state.tensors["ranks"][client])
        return NUMBER_BYTES * numbers(self.federation.shapes, kept)

    def upload(self, tensors: Mapping[str, Tensor]) -> int:
        """Return the bytes of the rows and columns that are kept."""
        return NUMBER_BYTES * numbers(self.federation.shapes, int(tensors["kept"][1]))


def _note(ranks: Tensor, kept: Tensor) -> None:
    client, rank = (int(value) for value in kept)
    if 0 <= client < len(ranks) and 1 <= rank <= int(ranks[client]):
        ranks[client] = rank


class _Noting:
    """Read the kept rank out of every answer before it is averaged."""

    def __init__(self, inner: Aggregator, note: Callable[[Tensor], None]) -> None:
        self._inner = inner
        self._note = note

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Note the rank and pass the factors on."""
        self._note(tensors["kept"])
        return self._inner.add(tensors, weight)

    def result(self) -> Checkpoint:
        """Return the new state."""
        return self._inner.result()
