"""Join updates without an error: stacks (FLoRA), mended means (FedEx-LoRA), dense sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.federated.job import Checkpoint
from harness.federated.task import Aggregator
from harness.records.work import Work
from harness.workloads.lora.aggregation.adapters import (
    Adapter,
    LowRank,
    dense,
    from_tensors,
    rank_of,
    size_bytes,
    smaller_numbers,
    to_tensors,
)
from harness.workloads.lora.aggregation.redistribution import decomposed
from harness.workloads.lora.aggregation.sums import DenseSum, Mean, Stack
from harness.workloads.lora.averaging_rules import FactorAveraging
from harness.workloads.lora.rules import NUMBER_BYTES, AdapterFederation, Fitting, Trained, Used

STACK = "stack."


def absorbed(state: Checkpoint, federation: AdapterFederation) -> dict[str, Tensor]:
    """Return what is added for good once the last stack is: B·A is added in place, never built."""
    old = dense(state.tensors)
    found = {
        f"delta/{name}": old[name].clone() if name in old else torch.zeros(shape)
        for name, shape in federation.shapes.items()
    }
    for name, (a, b) in from_tensors(state.tensors, STACK).items():
        found[f"delta/{name}"].addmm_(b, a)
    return found


def with_stack(
    before: Checkpoint, stack: Adapter, federation: AdapterFederation
) -> dict[str, Tensor]:
    """Return the state after a round: its stack beside all earlier ones, which are absorbed."""
    first = not from_tensors(before.tensors, STACK)
    earlier = {} if first else absorbed(before, federation)
    sizes = before.tensors.get("sizes", torch.zeros(0, dtype=torch.int64))
    size = NUMBER_BYTES * smaller_numbers(federation.shapes, rank_of(stack))
    return {
        **earlier,
        **to_tensors(stack, STACK),
        "sizes": torch.cat([sizes, torch.tensor([size], dtype=torch.int64)]),
    }


def missing_bytes(state: Checkpoint, federation: AdapterFederation, missed: int) -> int:
    """Return the bytes of the last stack and of those that were missed, or of their dense sum."""
    sizes = state.tensors.get("sizes", torch.zeros(0, dtype=torch.int64)).tolist()
    dense_bytes = NUMBER_BYTES * sum(m * n for m, n in federation.shapes.values())
    return min(int(sum(sizes[max(0, len(sizes) - 1 - missed) :])), dense_bytes)


@dataclass(frozen=True)
class Stacking:
    """Stack the adapters, absorb the stack, begin every round with new ones (FLoRA)."""

    federation: AdapterFederation
    trains: ClassVar[Trained] = "both"
    pooled: ClassVar[bool] = False

    def begin(self) -> Checkpoint:
        """Return nothing: the base is what there is."""
        return Checkpoint({"sizes": torch.zeros(0, dtype=torch.int64)})

    def fitting(self, state: Checkpoint, client: int, round_index: int) -> Fitting:
        """Return the base with all stacks, and a new adapter of round and client."""
        own = self.federation.begun(self.federation.ranks[client], round_index, client)
        return Fitting(dense(state.tensors), from_tensors(state.tensors, STACK), own)

    def sent(self, state: Checkpoint, client: int) -> Checkpoint:  # noqa: ARG002 - all are alike
        """Return the dense sum of all rounds, which a device that kept nothing needs."""
        return Checkpoint(absorbed(state, self.federation))

    def received(self, client: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Return dense updates."""
        return self.federation.zeros()

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the client's rank."""
        return self.federation.like(self.federation.ranks[client])

    def answer(self, client: int, trained: Mapping[str, Tensor]) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Return both factors."""
        return trained

    def aggregator(
        self, state: Checkpoint, clients: Sequence[int], total_weight: float
    ) -> Aggregator:
        """Return the stack of the clients of a round."""
        common = self.federation
        rank = sum(common.ranks[client] for client in clients)
        return Stack(
            common.shapes, rank, total_weight, common.scale,
            lambda stack: Checkpoint(with_stack(state, stack, common)),
        )  # fmt: skip

    def served(self, state: Checkpoint) -> Sequence[Fitting]:
        """Return the base with all stacks."""
        return [Fitting(dense(state.tensors), from_tensors(state.tensors, STACK))]

    def used(self, before: Checkpoint, after: Checkpoint) -> list[Used]:  # noqa: ARG002
        """Return the product of the stack."""
        return [(1.0, {}, from_tensors(after.tensors, STACK))]

    def download(self, state: Checkpoint, client: int, missed: int) -> int:  # noqa: ARG002
        """Return the bytes of the stacks that the client lacks."""
        return missing_bytes(state, self.federation, missed)

    def upload(self, tensors: Mapping[str, Tensor]) -> int:
        """Return the bytes of both factors."""
        return size_bytes(tensors.values())


@dataclass(frozen=True)
class Mended(FactorAveraging):
    """Average as FedIT does, and add the error of that to the base (FedEx-LoRA, ACL 2025)."""

    def fitting(self, state: Checkpoint, client: int, round_index: int) -> Fitting:
        """Return the base with all errors mended, and the client's part of the common adapter."""
        worn = super().fitting(state, client, round_index).worn
        return Fitting(dense(state.tensors), from_tensors(state.tensors, STACK), worn)

    def sent(self, state: Checkpoint, client: int) -> Checkpoint:
        """Return the common adapter, and the dense sum of what was added."""
        own = super().sent(state, client).tensors
        return Checkpoint({**own, **absorbed(state, self.federation)})

    def received(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the client's rank, and dense updates."""
        return {**super().received(client), **self.federation.zeros()}

    def aggregator(
        self, state: Checkpoint, clients: Sequence[int], total_weight: float
    ) -> Aggregator:
        """Return the mean and the stack of what it leaves out."""
        common = self.federation
        rank = sum(common.ranks[client] for client in clients)
        mean = Mean(common.like(common.top), total_weight, Checkpoint)

        def finish(stack: Adapter) -> Checkpoint:
            average = mean.result().tensors
            left = _left_out(stack, from_tensors(average), common.scale)
            return Checkpoint({**average, **with_stack(state, left, common)})

        return _Both(mean, Stack(common.shapes, rank, total_weight, common.scale, finish))

    def served(self, state: Checkpoint) -> Sequence[Fitting]:
        """Return the base with all errors mended, and the common adapter."""
        worn = from_tensors(state.tensors)
        return [Fitting(dense(state.tensors), from_tensors(state.tensors, STACK), worn)]

    def used(self, before: Checkpoint, after: Checkpoint) -> list[Used]:  # noqa: ARG002
        """Return the product of the means, and what was added to the base."""
        mended = from_tensors(after.tensors, STACK)
        return [(1.0, {}, mended), (self.federation.scale, {}, from_tensors(after.tensors))]

    def download(self, state: Checkpoint, client: int, missed: int) -> int:
        """Return the bytes of the common adapter and of what was added since."""
        return super().download(state, client, missed) + missing_bytes(
            state, self.federation, missed
        )


def _left_out(stack: Adapter, mean: Adapter, scale: float) -> Adapter:
    """Return factors of the stack's product less that of the means: R + r rows and columns."""
    return {
        name: LowRank(torch.cat([a, -scale * mean[name].a]), torch.cat([b, mean[name].b], dim=1))
        for name, (a, b) in stack.items()
    }


class _Both:
    """Give every answer to a mean and to a stack, whose end takes in the mean's."""

    def __init__(self, mean: Mean, stack: Stack) -> None:
        self._mean = mean
        self._stack = stack

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Add to both."""
        return self._mean.add(tensors, weight) + self._stack.add(tensors, weight)

    def result(self) -> Checkpoint:
        """Return the new state."""
        return self._stack.result()


@dataclass(frozen=True)
class Redistributing(FactorAveraging):
    """Sum the products up and send every client the best adapter of its rank (FlexLoRA)."""

    def aggregator(
        self,
        state: Checkpoint,  # noqa: ARG002
        clients: Sequence[int],  # noqa: ARG002
        total_weight: float,
    ) -> Aggregator:
        """Return the dense sum, decomposed."""
        common = self.federation

        def finish(sums: Mapping[str, Tensor]) -> Checkpoint:
            best = to_tensors(decomposed(sums, common.top, common.scale))
            return Checkpoint({**best, **{f"delta/{name}": t for name, t in sums.items()}})

        return DenseSum(common.shapes, total_weight, common.scale, finish)

    def served(self, state: Checkpoint) -> Sequence[Fitting]:
        """Return the base with the dense sum."""
        return [Fitting(dense(state.tensors))]

    def used(self, before: Checkpoint, after: Checkpoint) -> list[Used]:  # noqa: ARG002
        """Return the dense sum."""
        return [(1.0, dense(after.tensors), {})]
