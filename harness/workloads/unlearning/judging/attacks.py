"""Ask whether deleted users can still be told from strangers, with bootstrap intervals.

Both attacks give 0.5 for a model that never saw the users. Neither is the MIO of CURE4Rec, whose
code is not published. `mia_user` is the chance that a deleted user's trained pair outscores a
held-out pair by the model's own score. `mia_item` fits a vector to half of a user's trained items
by ridge regression and asks the same of the other half: what the items still know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.federated.random_streams import random_stream
from harness.workloads.unlearning.data.interactions import Interactions, Ints
from harness.workloads.unlearning.methods.base import Serving

RIDGE = 0.1
BACKGROUND = 0.05
"""Weight of all items, as not liked, in the fit of a user's vector."""
HALVINGS = 4
RESAMPLES = 1000
LEVEL = 0.95

Floats = np.ndarray


@dataclass(frozen=True)
class Estimate:
    """Hold a value with its 95 % bootstrap interval over users; no interval for a single user."""

    value: float
    low: float | None
    high: float | None
    users: int


def auc(positives: Floats, negatives: Floats) -> float:
    """Return the chance that a positive outscores a negative; ties count half."""
    return wins(positives, negatives) / (len(positives) * len(negatives))


def wins(positives: Floats, negatives: Floats) -> float:
    """Return how many pairs a positive wins, ties counted half."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, side="left")
    up_to = np.searchsorted(ordered, positives, side="right")
    return float((below + up_to).sum()) / 2.0


def mia_user(serving: Serving, data: Interactions, gone: Ints, seed: int) -> Estimate | None:
    """Return the attack by the model's own scores, over all pairs together; None if none."""
    scored = []
    for user in gone.tolist():
        scores = serving.scores(np.array([user]))[0]
        scored.append((scores[data.train.of_user(user)], scores[data.held.of_user(user)]))
    return _pooled(scored, seed)


def _pooled(scored: Sequence[tuple[Floats, Floats]], seed: int) -> Estimate | None:
    """Return the AUC of all positives against all negatives, users resampled as wholes."""
    counts = np.array([(len(p), len(n)) for p, n in scored], dtype=np.float64).reshape(-1, 2)
    if not counts.sum(axis=0).all():
        return None
    won = np.array([[wins(p, n) for _, n in scored] for p, _ in scored])

    def pooled(weights: Floats) -> Floats:
        total = ((weights @ won) * weights).sum(axis=1)
        pairs = (weights @ counts[:, 0]) * (weights @ counts[:, 1])
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total / pairs)

    value = float(pooled(np.ones((1, len(scored))))[0])
    if len(scored) < 2:
        return Estimate(value, None, None, len(scored))
    drawn = pooled(_resampled(len(scored), seed))
    return Estimate(value, *_interval(drawn[np.isfinite(drawn)]), len(scored))


def mia_item(serving: Serving, data: Interactions, gone: Ints, seed: int) -> Estimate | None:
    """Return the attack on the items, the mean over users; None if no user has enough items.

    The attacker knows half of a user's trained items; the rest is like items held out to a model
    that never saw the user, so that 0.5 is exact in expectation after training anew.
    """
    random = random_stream(seed, "halves")
    found = []
    for user in gone.tolist():
        trained, held = data.train.of_user(user), data.held.of_user(user)
        if len(trained) >= 2 and len(held):
            items = serving.items_of(user).astype(np.float64)
            found.append(_of_user(items, trained, held, random))
    if not found:
        return None
    values = np.array(found)
    if len(values) < 2:
        return Estimate(float(values[0]), None, None, 1)
    weights = _resampled(len(values), seed)
    return Estimate(float(values.mean()), *_interval(weights @ values / len(values)), len(values))


def _of_user(items: Floats, trained: Ints, held: Ints, random: np.random.Generator) -> float:
    background = BACKGROUND * items.T @ items + RIDGE * np.eye(items.shape[1])
    found = []
    for _ in range(HALVINGS):
        mixed = random.permutation(trained)
        known, rest = mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
        own = items[known]
        vector = np.linalg.solve(background + own.T @ own, own.sum(axis=0))
        found.append(auc(items[rest] @ vector, items[held] @ vector))
    return float(np.mean(found))


def _resampled(users: int, seed: int) -> Floats:
    """Return how often each user is drawn in each resample, rows of resamples."""
    random = random_stream(seed, "bootstrap", users)
    return random.multinomial(users, np.full(users, 1.0 / users), size=RESAMPLES).astype(np.float64)


def _interval(values: Floats) -> tuple[float, float]:
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
