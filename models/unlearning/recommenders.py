"""Define recommenders: a vector per user and per item, and how they are begun, scored and trained.

`wmf` and `bpr` score a pair by the product of its vectors and differ in their loss; `lightgcn`
first averages the vectors over the graph of who liked what (He et al., SIGIR 2020, equation 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

if TYPE_CHECKING:
    from collections.abc import Mapping

MODELS: Mapping[str, str] = {
    "wmf": "product of vectors, cross-entropy with one drawn negative per positive",
    "bpr": "product of vectors, Bayesian personalised ranking (Rendle et al., UAI 2009)",
    "lightgcn": "vectors averaged over three layers of neighbours, ranking loss (SIGIR 2020)",
}
LAYERS = 3
SPREAD = 0.1
"""Standard deviation of the vectors before training."""


@dataclass(frozen=True)
class Factors:
    """Hold a vector per user and per item, as rows of float32 matrices of one width."""

    users: Tensor
    items: Tensor

    @property
    def bytes(self) -> int:
        """Return the size of both matrices."""
        return 4 * (self.users.numel() + self.items.numel())


def begin(users: int, items: int, width: int, random: np.random.Generator) -> Factors:
    """Draw vectors; the same stream gives the same bits on any machine."""
    drawn = random.standard_normal((users + items, width), dtype=np.float32) * np.float32(SPREAD)
    both = torch.from_numpy(drawn)
    return Factors(both[:users].clone(), both[users:].clone())


def graph(users: int, items: int, pairs: tuple[np.ndarray, np.ndarray]) -> Tensor:
    """Return D^-½ A D^-½ of the graph of users and items; items are numbered after the users."""
    user, item = pairs[0], pairs[1] + users
    degree = np.bincount(np.concatenate([user, item]), minlength=users + items).clip(1)
    weight = 1.0 / np.sqrt(degree[user] * degree[item])
    ends = np.stack([np.concatenate([user, item]), np.concatenate([item, user])])
    values = torch.from_numpy(np.concatenate([weight, weight]).astype(np.float32))
    size = (users + items, users + items)
    return torch.sparse_coo_tensor(
        torch.from_numpy(ends), values, size, check_invariants=False
    ).coalesce()


def propagated(factors: Factors, adjacency: Tensor) -> Factors:
    """Return the mean of the vectors and of three layers of sums over neighbours."""
    layer = total = torch.cat([factors.users, factors.items])
    for _ in range(LAYERS):
        layer = torch.sparse.mm(adjacency, layer)
        total = total + layer
    mean = total / (LAYERS + 1)
    return Factors(mean[: len(factors.users)], mean[len(factors.users) :])


def batch_loss(
    model: str, factors: Factors, batch: Tensor, decay: float, plain: Factors | None = None
) -> Tensor:
    """Return the mean loss of a batch: rows of user, liked item, drawn item.

    The weight decay is of the vectors that the batch meets, per pair; of `plain` ones if given.
    """
    user, items = batch[0], batch[1:].flatten()
    p, both = factors.users[user], factors.items[items]
    q, n = both.chunk(2)
    if model == "wmf":
        fit = softplus(-(p * q).sum(1)) + softplus((p * n).sum(1))
    else:
        fit = -logsigmoid((p * (q - n)).sum(1))
    if plain is not None:
        p, both = plain.users[user], plain.items[items]
    size = p.square().sum() + both.square().sum()
    loss: Tensor = fit.mean() + (decay / len(user)) * size
    return loss
