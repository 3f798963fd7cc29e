"""Average what the clients of a round have learnt."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.federated.job import Checkpoint
from harness.records.work import Work
from models.packed import BlockLayout, Packed


class FederatedAverage:
    """Average client models weighted by their number of training images (FedAvg).

    Updates are added one by one in the order they come, so memory does not grow with K: there are
    two models, the sum and the share that is added next, used again for every client. Models packed
    alike are added block by block. Batch-norm statistics are averaged like weights; integer
    counters are averaged and rounded. `total_weight` is that of all clients expected; if some do
    not come, the others make up the average.
    """

    def __init__(self, total_weight: float) -> None:
        self._total = total_weight
        self._added = 0.0
        self._layout: BlockLayout | None = None
        self._types: dict[str, torch.dtype] = {}
        self._sums: dict[str, Tensor] = {}
        self._shares: dict[str, Tensor] = {}

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Add one client's model with its number of samples as weight; return the work of that.

        Raises:
            ValueError: if it is not packed as the first one was.
        """
        layout: BlockLayout | None = None
        parts = tensors
        if isinstance(tensors, Packed):
            layout, parts = tensors.layout, tensors.blocks
        if not self._sums:
            self._layout = layout
        elif layout is not self._layout:
            raise ValueError("models of one average are packed in different ways")
        share = weight / self._total
        self._added += weight
        for name, part in parts.items():
            exact = part.detach().to(_accumulator(part))
            if name not in self._sums:
                self._types[name] = part.dtype
                self._sums[name] = exact * share
                continue
            if name not in self._shares:
                self._shares[name] = torch.empty_like(self._sums[name])
            self._sums[name] += torch.mul(exact, share, out=self._shares[name])
        size = sum(part.numel() * part.element_size() for part in parts.values())
        return averaging(size if layout is None else layout.bytes)

    def result(self) -> Checkpoint:
        """Return the average in the data types of the first model added."""
        scale = self._total / self._added
        means: dict[str, Tensor] = {}
        for name, total in self._sums.items():
            mean = total if scale == 1.0 else total * scale
            kind = self._types[name]
            means[name] = (mean if kind.is_floating_point else mean.round()).to(kind)
        return Checkpoint(means if self._layout is None else Packed(self._layout, means))


def _accumulator(tensor: Tensor) -> torch.dtype:
    return tensor.dtype if tensor.is_floating_point() else torch.float64


def averaging(model_bytes: int) -> Work:
    """Return the work of adding one model to a weighted sum: read both, write one."""
    return Work(bytes_moved=3.0 * model_bytes)
