"""Add up the adapters of a round in one pass over memory each; implements `Aggregator`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from harness.federated.job import Checkpoint
from harness.records.work import Work
from harness.workloads.lora.aggregation.adapters import (
    Adapter,
    LowRank,
    Shapes,
    from_tensors,
    norm,
    size_bytes,
)

Finish = Callable[[Adapter], Checkpoint]
"""Makes the new state of a round's sum."""


class Stack:
    """Put the A of all clients below one another and their B side by side (FLoRA, eq. 3 and 4).

    Share p and scale s go into A alone: B_g·A_g = Σ p·s·B·A exactly, for any ranks and scales. One
    copy of every number is made, into place. If a client does not come, the shares of the others
    are raised and its rows are left out.
    """

    def __init__(
        self, shapes: Shapes, rank: int, total_weight: float, scale: float, finish: Finish
    ) -> None:
        """Make room for a stack of that rank in all."""
        self._shapes = shapes
        self._room = {
            name: LowRank(torch.empty(rank, n), torch.empty(m, rank))
            for name, (m, n) in shapes.items()
        }
        self._filled = 0
        self._total = total_weight
        self._added = 0.0
        self._scale = scale
        self._finish = finish

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Put an adapter at the end of the stack; return the work of that."""
        share = weight / self._total * self._scale
        adapter = from_tensors(tensors)
        start = end = self._filled
        for name, (a, b) in adapter.items():
            end = start + a.shape[0]
            torch.mul(a, share, out=self._room[name].a[start:end])
            self._room[name].b[:, start:end] = b
        self._filled, self._added = end, self._added + weight
        return Work(bytes_moved=2.0 * size_bytes(tensors.values()))

    def result(self) -> Checkpoint:
        """Return the new state."""
        missing = self._total / self._added
        stacked = {
            name: LowRank(a[: self._filled], b[:, : self._filled])
            for name, (a, b) in self._room.items()
        }
        if missing != 1.0:
            for a, _ in stacked.values():
                a.mul_(missing)
        return self._finish(stacked)


class Mean:
    """Average A and B apart: Ā = Σ p·A, B̄ = Σ p·B (FedIT); short ones count as zero-padded.

    With `by_norm` an update counts by ‖B·A‖ in place of its data (HetLoRA, eq. 4). Other tensors
    than `a/…` and `b/…` are left out.
    """

    def __init__(
        self,
        like: Mapping[str, Tensor],
        total_weight: float,
        finish: Callable[[dict[str, Tensor]], Checkpoint],
        *,
        by_norm: bool = False,
    ) -> None:
        """Begin with zeros like the tensors of the largest rank."""
        self._sums = {name: torch.zeros_like(tensor) for name, tensor in like.items()}
        self._total = total_weight
        self._by_norm = by_norm
        self._added = 0.0
        self._finish = finish

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Add an adapter to the sums; return the work of that."""
        share = norm(from_tensors(tensors)) if self._by_norm else weight / self._total
        self._added += share if self._by_norm else weight
        for name, total in self._sums.items():
            part = tensors[name]
            # rows of A and columns of B beyond a client's rank are zeros that nobody adds
            place = total[: part.shape[0]] if name.startswith("a/") else total[:, : part.shape[1]]
            place.add_(part, alpha=share)
        return Work(bytes_moved=3.0 * size_bytes(tensors.values()))

    def result(self) -> Checkpoint:
        """Return the new state."""
        # all norms are 0 where nobody learnt anything: then so are all B
        scale = 1.0 / (self._added or 1.0) if self._by_norm else self._total / self._added
        if scale != 1.0:
            for total in self._sums.values():
                total.mul_(scale)
        return self._finish(self._sums)


class DenseSum:
    """Add up the products Σ p·s·B·A, dense, without building any client's apart (FlexLoRA)."""

    def __init__(
        self,
        shapes: Shapes,
        total_weight: float,
        scale: float,
        finish: Callable[[Mapping[str, Tensor]], Checkpoint],
    ) -> None:
        """Begin with zeros: m·n numbers a layer."""
        self._sums = {name: torch.zeros(shape) for name, shape in shapes.items()}
        self._total = total_weight
        self._added = 0.0
        self._scale = scale
        self._finish = finish

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Add a product to the sum; return the work of that."""
        share = weight / self._total * self._scale
        self._added += weight
        for name, (a, b) in from_tensors(tensors).items():
            self._sums[name].addmm_(b, a, alpha=share)
        return Work(bytes_moved=2.0 * size_bytes(self._sums.values()))

    def result(self) -> Checkpoint:
        """Return the new state."""
        missing = self._total / self._added
        if missing != 1.0:
            for tensor in self._sums.values():
                tensor.mul_(missing)
        return self._finish(self._sums)


class KeptUpdates:
    """Keep what every client sends under names of its own, beside what was there."""

    def __init__(self, before: Checkpoint) -> None:
        """Begin with the state of the last round."""
        self._tensors = dict(before.tensors)

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:  # noqa: ARG002 - nobody is weighed
        """Take in a client's own tensors."""
        self._tensors.update({name: tensor.clone() for name, tensor in tensors.items()})
        return Work()

    def result(self) -> Checkpoint:
        """Return the new state."""
        return Checkpoint(self._tensors)
