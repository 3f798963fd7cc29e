"""Average what the clients of a round have learnt."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.federated.job import Checkpoint


class FederatedAverage:
    """Average client models weighted by their number of training images (FedAvg).

    Updates are added one by one in the order they come, so memory does not grow with K. Batch-norm
    statistics are averaged like weights; integer counters are averaged and rounded.
    """

    def __init__(self, total_weight: float) -> None:
        self._total = total_weight
        self._sums: dict[str, Tensor] = {}

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> None:
        """Add one client's model with its number of images as weight."""
        share = weight / self._total
        for name, tensor in tensors.items():
            value = tensor.detach().to(_accumulator(tensor)) * share
            if name in self._sums:
                self._sums[name] += value
            else:
                self._sums[name] = value

    def result(self, like: Mapping[str, Tensor]) -> Checkpoint:
        """Return the average in the data types of `like`."""
        return Checkpoint(
            {
                name: (total if like[name].is_floating_point() else total.round()).to(
                    like[name].dtype
                )
                for name, total in self._sums.items()
            }
        )


def _accumulator(tensor: Tensor) -> torch.dtype:
    return tensor.dtype if tensor.is_floating_point() else torch.float64
