"""Average what the clients of a round have learnt."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.federated.job import Checkpoint


class FederatedAverage:
    """Average client models weighted by their number of training images (FedAvg).

    Updates are added one by one in the order they come, so memory does not grow with K: there are
    two models, the sum and the share that is added next, used again for every client. Batch-norm
    statistics are averaged like weights; integer counters are averaged and rounded. `total_weight`
    is that of all clients expected; if some do not come, the others make up the average.
    """

    def __init__(self, total_weight: float) -> None:
        self._total = total_weight
        self._added = 0.0
        self._sums: dict[str, Tensor] = {}
        self._shares: dict[str, Tensor] = {}

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> None:
        """Add one client's model with its number of images as weight."""
        share = weight / self._total
        self._added += weight
        for name, tensor in tensors.items():
            exact = tensor.detach().to(_accumulator(tensor))
            if name not in self._sums:
                self._sums[name] = exact * share
                continue
            if name not in self._shares:
                self._shares[name] = torch.empty_like(self._sums[name])
            self._sums[name] += torch.mul(exact, share, out=self._shares[name])

    def result(self, like: Mapping[str, Tensor]) -> Checkpoint:
        """Return the average in the data types of `like`."""
        sums = self._sums
        if self._added != self._total:
            sums = {name: total * (self._total / self._added) for name, total in sums.items()}
        return Checkpoint(
            {
                name: (total if like[name].is_floating_point() else total.round()).to(
                    like[name].dtype
                )
                for name, total in sums.items()
            }
        )


def _accumulator(tensor: Tensor) -> torch.dtype:
    return tensor.dtype if tensor.is_floating_point() else torch.float64
