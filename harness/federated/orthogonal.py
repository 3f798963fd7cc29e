"""Step a server along the mean change with all its directions equally long (Muon-like).

What clients changed in a matrix, U·S·Vᵀ, is dominated by the few directions in which all of their
steps agree. Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024)
goes along U·Vᵀ instead, which a few products of matrices come close to. Here the server does so
once a round: clients descend as ever and nothing more travels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from harness.federated.job import Checkpoint
from harness.federated.server import FederatedAverage
from harness.records.work import Work

ROUNDS = 5
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Of Muon's published code: a·s + b·s³ + c·s⁵, five times, brings every s in (0.01, 1] near 1."""


class OrthogonalAverage:
    """Average models, then go `stretch` times the length of the mean change, orthogonalised.

    Only tensors among `stepped` with rows of more than one number are matrices, an output channel a
    row; all others are those of the mean.
    """

    def __init__(
        self,
        total_weight: float,
        before: Mapping[str, Tensor],
        stepped: Collection[str],
        stretch: float,
    ) -> None:
        self._average = FederatedAverage(total_weight)
        self._before = before
        self._matrices = [name for name in stepped if _is_matrix(before[name])]
        self._stretch = stretch
        self._counted = False

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Add one client's model; return the work of that, with the first also that of the step."""
        work = self._average.add(tensors, weight)
        if not self._counted:
            self._counted = True
            work += Work(bytes_moved=sum(_moved_bytes(self._before[n]) for n in self._matrices))
        return work

    def result(self) -> Checkpoint:
        """Return the model after the step."""
        after = dict(self._average.result().tensors)
        for name in self._matrices:
            before = self._before[name]
            change = (after[name] - before).flatten(1)
            after[name] = before + self._stretch * evened(change).reshape(before.shape)
        return Checkpoint(after)


def evened(change: Tensor) -> Tensor:
    """Return a matrix of the same length (Frobenius) and directions, all about equally long.

    One of zeros stays one.
    """
    length = change.norm()
    if not length > 0:
        return change
    rows, columns = change.shape
    x: Tensor = (change if rows <= columns else change.T) / length
    a, b, c = POLYNOMIAL
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + torch.addmm(square, square, square, beta=b, alpha=c) @ x
    x = x * (length / x.norm())
    return x if rows <= columns else x.T


def _is_matrix(tensor: Tensor) -> bool:
    return tensor.ndim > 1 and min(len(tensor), tensor[0].numel()) > 1


def _moved_bytes(tensor: Tensor) -> float:
    """Return the memory traffic of the step of one matrix: what its products read and write."""
    rows, columns = sorted((len(tensor), tensor[0].numel()))
    products = ROUNDS * (5.0 * rows * columns + 5.0 * rows * rows)
    return (products + 6.0 * rows * columns) * tensor.element_size()
