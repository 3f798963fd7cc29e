"""Hold who liked what, as rows of item numbers by user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_MAP = 1 << 26
"""Pairs of which a map is made: 64 MB."""


@dataclass(frozen=True)
class Pairs:
    """Hold a set of pairs: `items[starts[u]:starts[u + 1]]` are the items of user u, sorted."""

    starts: Ints
    items: Ints
    item_count: int

    @classmethod
    def of(cls, user: Ints, item: Ints, users: int, items: int) -> Pairs:
        """Take pairs in any order; one that is there twice counts once."""
        keys = np.unique(user * items + item)
        starts = np.searchsorted(keys, np.arange(users + 1) * items)
        return cls(starts.astype(np.int64), keys % items, items)

    @property
    def user_count(self) -> int:
        """Return how many users there are, those without items too."""
        return len(self.starts) - 1

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def counts(self) -> Ints:
        """Return how many items each user has."""
        return np.diff(self.starts)

    @cached_property
    def users(self) -> Ints:
        """Return the user of every pair, in order."""
        return np.repeat(np.arange(self.user_count), self.counts)

    @cached_property
    def _keys(self) -> Ints:
        return self.users * self.item_count + self.items

    def of_user(self, user: int) -> Ints:
        """Return a user's items."""
        return self.items[self.starts[user] : self.starts[user + 1]]

    @cached_property
    def _map(self) -> Bools:
        """Return a truth value for every pair there could be."""
        found = np.zeros(self.user_count * self.item_count, dtype=bool)
        found[self._keys] = True
        return found

    def contain(self, user: Ints, item: Ints) -> Bools:
        """Say of each pair whether it is one of these; by a search where a map would be large."""
        if self.user_count * self.item_count <= MOST_MAP:
            known: Bools = self._map[user * self.item_count + item]
            return known
        wanted = user * self.item_count + item
        at = np.searchsorted(self._keys, wanted)
        found: Bools = self._keys[np.minimum(at, len(self._keys) - 1)] == wanted
        return found

    def only(self, users: Ints) -> Pairs:
        """Return the pairs of these users; the rows of all others are blank."""
        wanted = np.zeros(self.user_count, dtype=bool)
        wanted[users] = True
        counts = np.where(wanted, self.counts, 0)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return Pairs(starts, self.items[wanted[self.users]], self.item_count)

    def dense(self, users: Ints | Sequence[int]) -> Bools:
        """Return a row of truth values over all items for each of these users."""
        found = np.zeros((len(users), self.item_count), dtype=bool)
        for row, user in enumerate(users):
            found[row, self.of_user(int(user))] = True
        return found


@dataclass(frozen=True)
class Interactions:
    """Hold the pairs to train on and those held out, and what users are called outside."""

    train: Pairs
    held: Pairs
    names: Sequence[str]

    @property
    def user_count(self) -> int:
        """Return how many users there are."""
        return self.train.user_count

    @property
    def item_count(self) -> int:
        """Return how many items there are."""
        return self.train.item_count

    @cached_property
    def everyone(self) -> Ints:
        """Return the numbers of all users."""
        return np.arange(self.user_count)


def split(full: Pairs, names: Sequence[str], random: Any, share: float = 0.2) -> Interactions:  # noqa: ANN401
    """Hold out a share of every user's items, at random; at least one if there are two."""
    draw = random.random(len(full))
    order = np.lexsort([draw, full.users])  # within each user in the order drawn
    rank = np.arange(len(full)) - full.starts[full.users]
    wanted = np.maximum(np.rint(share * full.counts).astype(np.int64), 1)
    wanted[full.counts < 2] = 0
    out = np.zeros(len(full), dtype=bool)
    out[order] = rank < wanted[full.users]
    users, items = full.user_count, full.item_count
    held = Pairs.of(full.users[out], full.items[out], users, items)
    return Interactions(Pairs.of(full.users[~out], full.items[~out], users, items), held, names)
