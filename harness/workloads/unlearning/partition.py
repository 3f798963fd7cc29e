"""Divide users into shards of equal size: at random, greedily, or by optimal transport.

Sizes differ by at most one. Centres begin at users drawn at random and move to the means of their
shards, round after round, until nothing moves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.core.errors import MissingPackageError
from harness.workloads.unlearning.data.interactions import Ints

Floats = npt.NDArray[np.float64]

GREEDY_ROUNDS = 20
TRANSPORT_ROUNDS = 10


def at_random(users: int, shards: int, random: np.random.Generator) -> Ints:
    """Return a shard for each user, drawn at random (Bourtoule et al., S&P 2021: SISA)."""
    return random.permutation(np.arange(users) % shards)


def greedily(points: Floats, shards: int, random: np.random.Generator, slack: float = 1.0) -> Ints:
    """Take pairs of user and centre nearest first; a full shard takes no more.

    This is the balanced partition of RecEraser (Chen et al., WWW 2022, section 3.2); a shard may
    hold `slack` times the mean.
    """
    room = int(np.ceil(slack * len(points) / shards))
    return _moved(points, shards, random, lambda d: nearest_first(d, room), GREEDY_ROUNDS)


def by_transport(points: Floats, shards: int, random: np.random.Generator) -> Ints:
    """Take the cheapest balanced assignment in each round (Li et al., NeurIPS 2023: UltraRE).

    Raises:
        MissingPackageError: if the package POT is not installed.
    """
    return _moved(points, shards, random, cheapest, TRANSPORT_ROUNDS)


def nearest_first(distances: Floats, room: int) -> Ints:
    """Return a shard for each user: pairs in the order of their distance, ties by their number."""
    users, shards = distances.shape
    label, left = [-1] * users, [room] * shards
    for at in np.argsort(distances, axis=None, kind="stable").tolist():
        user, shard = divmod(at, shards)
        if label[user] < 0 and left[shard]:
            label[user], left[shard] = shard, left[shard] - 1
    return np.array(label, dtype=np.int64)


def cheapest(distances: Floats) -> Ints:
    """Return the assignment of least total distance whose sizes differ by at most one.

    Every shard has floor(n/K) places that must be filled, and one more that may be; a dummy user
    fills those that stay free. All masses are whole, so that the plan is whole too.

    Raises:
        MissingPackageError: if the package POT is not installed.
    """
    emd = _emd()
    users, shards = distances.shape
    least, more = divmod(users, shards)
    mass = np.ones(users)
    places = np.full(shards, float(least))
    cost = distances
    if more:
        forbidden = float(distances.sum()) + 1.0  # dearer than any whole assignment
        dummy = np.concatenate([np.full(shards, forbidden), np.zeros(shards)])
        cost = np.vstack([np.hstack([distances, distances]), dummy])
        mass = np.append(mass, float(shards - more))
        places = np.append(places, np.ones(shards))
    plan = emd(mass, places, np.ascontiguousarray(cost), numItermax=10_000_000)
    return np.asarray(plan[:users].argmax(axis=1) % shards, dtype=np.int64)


def _emd() -> Callable[..., Floats]:
    try:
        from ot.lp import emd  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"{error.name} is not installed: ultrare divides users by the package POT",
            "pip install POT, or leave ultrare out of --methods.",
        ) from None
    found: Callable[..., Floats] = emd
    return found


def distances_to(points: Floats, centres: Floats) -> Floats:
    """Return squared distances of every point to every centre."""
    return np.asarray(((points[:, None] - centres) ** 2).sum(axis=2))


def _moved(
    points: Floats,
    shards: int,
    random: np.random.Generator,
    assign: Callable[[Floats], Ints],
    rounds: int,
) -> Ints:
    centres = points[random.choice(len(points), shards, replace=False)]
    label = assign(distances_to(points, centres))
    for _ in range(rounds - 1):
        moved = np.stack([
            points[label == s].mean(axis=0) if (label == s).any() else centres[s]
            for s in range(shards)
        ])  # fmt: skip
        if np.allclose(moved, centres):
            break
        centres = moved
        label = assign(distances_to(points, centres))
    return label


def inside_share(points: Floats, label: Ints) -> float:
    """Return the share of the points' variance that lies inside shards: 1 tells nothing apart."""
    total = ((points - points.mean(axis=0)) ** 2).sum()
    inside = sum(
        ((points[label == s] - points[label == s].mean(axis=0)) ** 2).sum()
        for s in np.unique(label)
    )
    return float(inside / total)
