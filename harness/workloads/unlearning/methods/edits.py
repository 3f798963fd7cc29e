"""Edit vectors by one Newton step instead of training, counting the negatives in expectation.

Training draws one negative per positive, so that a pair which is not there weighs n/(I - n) for a
user of n among I items. With equal weight on both sides the mean label of a user is one half.
"""

from __future__ import annotations

import numpy as np
import torch

from harness.workloads.unlearning.data.interactions import Bools, Ints
from harness.workloads.unlearning.methods.base import World
from models.unlearning.recommenders import Factors

Floats = np.ndarray

DAMPING = 0.1
"""Added to the diagonal of a user's Hessian, which has few pairs."""
LEAST = 1e-6
USERS_AT_ONCE = 512
ITEMS_AT_ONCE = 256
"""Bound what an influence step holds: 512 × d² and 256 × d² numbers of 8 bytes."""


def expected_weights(trained: Bools) -> Floats:
    """Return the weight of each pair in an epoch: 1 if it is there, n/(I - n) if not."""
    count = trained.sum(axis=1, keepdims=True)
    return np.where(trained, 1.0, count / np.maximum(trained.shape[1] - count, 1))


def sigmoid(x: Floats) -> Floats:
    """Return 1/(1 + e⁻ˣ) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def scif_step(world: World, factors: Factors, gone: Ints, kept: Ints) -> tuple[Factors, float]:  # noqa: ARG001
    """Move the rows of users who leave towards labels of one half; return it and its operations.

    θ ← θ + H⁻¹ Σ (∇ℓ(y) - ∇ℓ(½)) over a user's pairs, on that user's vector alone.
    """
    items = factors.items.numpy().astype(np.float64)
    users = factors.users.clone()
    width = items.shape[1]
    for user in gone.tolist():
        liked = world.data.train.dense([user])
        weight = expected_weights(liked)[0]
        vector = users[user].numpy().astype(np.float64)
        chance = sigmoid(items @ vector)
        gradient = items.T @ (weight * (0.5 - liked[0]))
        hessian = (items * (weight * chance * (1.0 - chance))[:, None]).T @ items
        hessian += DAMPING * np.eye(width)
        moved = vector + np.linalg.solve(hessian, gradient)
        users[user] = torch.from_numpy(moved.astype(np.float32))
    operations = 2.0 * len(gone) * (len(items) * width * (width + 2) + width**3 / 3)
    return Factors(users, factors.items), operations


def influence_step(world: World, factors: Factors, gone: Ints, kept: Ints) -> tuple[Factors, float]:
    """Move every item by its influence, users held fixed; return it and its operations.

    θ_i ← θ_i + H_i⁻¹ Σ_gone ∇ℓ, where H_i is of those who stay: on a quadratic loss that is the
    optimum without the users. The loss is that of `wmf`; of others the Hessian is borrowed.
    """
    items = factors.items.numpy().astype(np.float64)
    ridge = 2.0 * world.training.decay
    moved = np.empty_like(items)
    width = items.shape[1]
    for first in range(0, len(items), ITEMS_AT_ONCE):
        block = slice(first, first + ITEMS_AT_ONCE)
        gradient, _ = _sums(world, factors, gone, block, ridge, second=False)
        _, hessian = _sums(world, factors, kept, block, ridge, second=True)
        hessian += LEAST * np.eye(width)
        change = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        moved[block] = items[block] + change
    operations = len(items) * (2.0 * len(kept) * width**2 + 2.0 * width**3 / 3)
    return Factors(factors.users, torch.from_numpy(moved.astype(np.float32))), operations


def _sums(
    world: World, factors: Factors, users: Ints, block: slice, ridge: float, *, second: bool
) -> tuple[Floats, Floats]:
    """Return sums over users of the gradients or of the Hessians of a block of items."""
    items = factors.items.numpy()[block].astype(np.float64)
    width = items.shape[1]
    gradient = np.zeros_like(items)
    hessian = np.zeros((len(items), width * width))
    total = np.zeros(len(items))
    for first in range(0, len(users), USERS_AT_ONCE):
        own = users[first : first + USERS_AT_ONCE]
        vectors = factors.users.numpy()[own].astype(np.float64)
        liked = world.data.train.dense(own)
        weight, label = expected_weights(liked)[:, block], liked[:, block]
        chance = sigmoid(vectors @ items.T)
        total += weight.sum(axis=0)
        if second:
            outer = (vectors[:, :, None] * vectors[:, None, :]).reshape(len(own), -1)
            hessian += (weight * chance * (1.0 - chance)).T @ outer
        else:
            gradient += (weight * (chance - label)).T @ vectors
    gradient += ridge * total[:, None] * items
    diagonal = (ridge * total)[:, None, None] * np.eye(width)
    return gradient, hessian.reshape(-1, width, width) + diagonal
