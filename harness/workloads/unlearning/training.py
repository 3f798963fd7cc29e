"""Train a recommender on the pairs of some users; the result depends on the arguments alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.core.errors import DivergedError
from harness.federated.random_streams import random_stream
from harness.workloads.unlearning.data.interactions import Ints, Pairs
from models.unlearning.recommenders import Factors, batch_loss, begin, graph, propagated


@dataclass(frozen=True)
class Training:
    """Say how a recommender is trained.

    Attributes:
        model: one of `models.unlearning.recommenders.MODELS`.
        width: length of the vectors.
        epochs: passes over the pairs; there is no early stop, so that all do the same work.
        batch_size: pairs in a step.
        learning_rate: of Adam.
        decay: of the vectors a pair meets.
    """

    model: str = "wmf"
    width: int = 32
    epochs: int = 20
    batch_size: int = 512
    learning_rate: float = 0.01
    decay: float = 0.01

    def steps(self, pairs: int, epochs: int | None = None) -> int:
        """Return the steps of training on so many pairs."""
        return -(-pairs // self.batch_size) * (self.epochs if epochs is None else epochs)


@dataclass(frozen=True)
class Trained:
    """Hold the vectors as they serve, those that training can go on from, and the steps taken."""

    factors: Factors
    plain: Factors
    steps: int


def learn(pairs: Pairs, training: Training, seed: int, shard: int) -> Trained:
    """Train from the beginning on pairs; all randomness comes from seed and shard."""
    random = random_stream(seed, "shard", shard)
    start = begin(pairs.user_count, pairs.item_count, training.width, random)
    return descend(pairs, training, start, random, training.epochs)


def tune(pairs: Pairs, training: Training, start: Factors, seed: int, shard: int) -> Trained:
    """Go on from vectors for a tenth of the epochs."""
    random = random_stream(seed, "tune", shard)
    return descend(pairs, training, start, random, max(1, training.epochs // 10))


def untrained(pairs: Pairs, training: Training, seed: int, shard: int) -> Factors:
    """Return the vectors that `learn` begins with."""
    random = random_stream(seed, "shard", shard)
    return begin(pairs.user_count, pairs.item_count, training.width, random)


def descend(
    pairs: Pairs, training: Training, start: Factors, random: np.random.Generator, epochs: int
) -> Trained:
    """Take the steps of some epochs from vectors on.

    Raises:
        DivergedError: if the loss is no finite number at the end of an epoch.
    """
    users, items = (x.clone().requires_grad_() for x in (start.users, start.items))
    plain = Factors(users, items)
    adjacency = None
    if training.model == "lightgcn":
        adjacency = graph(pairs.user_count, pairs.item_count, (pairs.users, pairs.items))
    steps = 0
    if len(pairs):
        optimizer = torch.optim.Adam([users, items], lr=training.learning_rate, fused=True)
        for _ in range(epochs):
            batches = torch.split(shuffled(pairs, random), training.batch_size, dim=1)
            for batch in batches:
                loss = _loss(training, plain, adjacency, batch)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
            steps += len(batches)
            _check_finite(loss)
    with torch.no_grad():
        serving = plain if adjacency is None else propagated(plain, adjacency)
    return Trained(_detached(serving), _detached(plain), steps)


def _loss(training: Training, plain: Factors, adjacency: Tensor | None, batch: Tensor) -> Tensor:
    if adjacency is None:
        return batch_loss(training.model, plain, batch, training.decay)
    spread = propagated(plain, adjacency)
    return batch_loss(training.model, spread, batch, training.decay, plain)


def _detached(factors: Factors) -> Factors:
    return Factors(factors.users.detach(), factors.items.detach())


def _check_finite(loss: Tensor) -> None:
    if not torch.isfinite(loss):
        raise DivergedError(
            f"the training loss is {float(loss.detach())}", "Lower --learning-rate."
        )


def shuffled(pairs: Pairs, random: np.random.Generator) -> Tensor:
    """Return user, liked item and drawn item of every pair, in rows, in a new order."""
    drawn = negatives(pairs, random)
    order = random.permutation(len(pairs))
    return torch.from_numpy(np.stack([pairs.users[order], pairs.items[order], drawn[order]]))


def negatives(pairs: Pairs, random: np.random.Generator) -> Ints:
    """Draw for every pair an item that its user does not have; what collides is drawn again.

    No user may have all items: it would be drawn for ever (`data.source` refuses such data).
    """
    drawn = random.integers(pairs.item_count, size=len(pairs))
    wrong = np.flatnonzero(pairs.contain(pairs.users, drawn))
    while len(wrong):
        drawn[wrong] = random.integers(pairs.item_count, size=len(wrong))
        wrong = wrong[pairs.contain(pairs.users[wrong], drawn[wrong])]
    return drawn
