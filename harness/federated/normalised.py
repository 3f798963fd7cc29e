"""Average what clients changed per step they took, so that none counts for more by taking more.

FedNova (Wang et al., NeurIPS 2020): x ← x + (Σ p_k·a_k)·Σ p_k·(x_k − x)/a_k, where a_k is the sum
of the weights with which a client's gradients entered its change. Where all take the same steps
that is FedAvg.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from harness.federated.job import Checkpoint
from harness.federated.server import FederatedAverage
from harness.records.work import Work

STEPS = "local.steps"
"""Name of the tensor in which an update says how many steps it is of."""


def effective_steps(steps: int, momentum: float, *, nesterov: bool) -> float:
    """Return the sum of the weights of the gradients of so many steps of SGD with momentum.

    A step goes along v ← ρ·v + g, or with Nesterov's along g + ρ·v; from v = 0. The sum is
    (τ − ρ·(1 − ρ^τ)/(1 − ρ))/(1 − ρ) for the first (section 4 of the paper).
    """
    if momentum == 0.0:
        return float(steps)
    heavy = (steps - momentum * (1.0 - momentum**steps) / (1.0 - momentum)) / (1.0 - momentum)
    return steps + momentum * heavy if nesterov else heavy


class NormalisedAverage:
    """Average changes per step. Statistics, which are not stepped, are averaged as they are."""

    def __init__(
        self, total_weight: float, before: Mapping[str, Tensor], stepped: Collection[str]
    ) -> None:
        self._average = FederatedAverage(total_weight)
        self._before = before
        self._stepped = frozenset(stepped)
        self._steps = 0.0
        self._weight = 0.0

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Add one client's model and the steps it tells of; return the work of that.

        Raises:
            ValueError: if it tells of none.
        """
        steps = float(tensors[STEPS])
        if not steps > 0.0:
            raise ValueError(f"a client says that it took {steps} steps")
        self._steps += weight * steps
        self._weight += weight
        changed = {
            name: torch.lerp(self._before[name], tensor, 1.0 / steps)
            if name in self._stepped
            else tensor
            for name, tensor in tensors.items()
            if name != STEPS
        }
        return self._average.add(changed, weight)

    def result(self) -> Checkpoint:
        """Return the model after as many steps as clients took in the mean."""
        mean = self._average.result().tensors
        steps = self._steps / self._weight
        return Checkpoint(
            {
                name: torch.lerp(self._before[name], tensor, steps)
                if name in self._stepped
                else tensor
                for name, tensor in mean.items()
            }
        )
