"""Generate interactions with the shape of MovieLens-100K, so that a run needs no download.

Tastes come in clusters of unequal size, items' popularity falls with their rank, and a few users
hold much of the data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from harness.federated.random_streams import random_stream
from harness.workloads.unlearning.data.interactions import Interactions, Ints, Pairs, split

VERSION = 1
"""Changes whenever the same settings give other data."""

CLUSTERS = 10
DIMENSIONS = 8
OWN = 1.2
"""How far a user's or item's taste lies from its cluster's, in standard deviations."""
TASTE = 6.0
"""Weight of taste against popularity in the logits."""
SKEW = 0.9
"""Popularity falls as rank to the power of minus this."""
ACTIVITY_SPREAD = 0.75
LEAST_ITEMS = 8
MOST_SHARE = 0.4


@dataclass(frozen=True)
class Generated:
    """Say how many users, items, and items per user on average."""

    users: int = 900
    items: int = 700
    mean: float = 42.0

    @property
    def checksum(self) -> str:
        """Return what tells these data from others."""
        return f"generated-{VERSION}-{'-'.join(map(str, asdict(self).values()))}"

    def draw(self, seed: int) -> Interactions:
        """Draw each user's items without replacement, by Gumbel top-k on popularity and taste."""
        random = random_stream(seed, "interactions")
        centres = random.normal(size=(CLUSTERS, DIMENSIONS))
        sizes = np.arange(1, CLUSTERS + 1) ** -0.5
        tastes = self._around(centres, random.choice(CLUSTERS, self.users, p=sizes / sizes.sum()),
                              random)  # fmt: skip
        offers = self._around(centres, random.choice(CLUSTERS, self.items), random)
        popularity = -SKEW * np.log1p(random.permutation(self.items))
        noise = random.gumbel(size=(self.users, self.items))
        order = np.argsort(-(popularity + TASTE * tastes @ offers.T + noise), axis=1)
        counts = self._activity(random)
        chosen = np.arange(self.items) < counts[:, None]
        users = np.repeat(np.arange(self.users), counts)
        full = Pairs.of(users, order[chosen], self.users, self.items)
        return split(full, [str(user) for user in range(self.users)], random)

    @staticmethod
    def _around(
        centres: np.ndarray, cluster: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        found = centres[cluster] + OWN * random.normal(size=(len(cluster), DIMENSIONS))
        unit: np.ndarray = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit

    def _activity(self, random: np.random.Generator) -> Ints:
        """Return how many items each user likes: log-normal, with the mean asked for."""
        log = np.log(self.mean) - ACTIVITY_SPREAD**2 / 2
        drawn = np.exp(log + ACTIVITY_SPREAD * random.normal(size=self.users))
        most = max(LEAST_ITEMS, int(MOST_SHARE * self.items))
        counts: Ints = np.clip(drawn, min(LEAST_ITEMS, self.items - 1), most).astype(np.int64)
        return counts
