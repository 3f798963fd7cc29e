"""Judge lists of recommendations: NDCG, recall and hit at a cut, fairness, agreement of lists.

NDCG@k is Σ 1/log₂(rank + 1) over hits, divided by that of min(|T|, k) hits at the top: the ideal is
cut at k. Users who have nothing held out are in no mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.workloads.unlearning.data.interactions import Bools, Interactions, Ints
from harness.workloads.unlearning.methods.base import Serving

CUT = 20
ACTIVE = 0.05
"""Share of users who count as active."""
USERS_AT_ONCE = 256

Floats = np.ndarray


def top(scores: Floats, seen: Bools, cut: int) -> Ints:
    """Return the best items that a user has not trained on, best first, ties by the lower number.

    A list that runs out of items ends in -1.
    """
    ranked = np.where(seen, -np.inf, scores)
    cut = min(cut, ranked.shape[1])
    least = np.partition(ranked, -cut, axis=1)[:, -cut][:, None]
    above = ranked > least
    missing = cut - above.sum(axis=1, keepdims=True)
    level = ranked == least
    chosen = above | (level & (np.cumsum(level, axis=1) <= missing))
    items = np.nonzero(chosen)[1].reshape(len(ranked), cut)
    values = np.take_along_axis(ranked, items, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    found = np.take_along_axis(items, order, axis=1)
    found[np.take_along_axis(values, order, axis=1) == -np.inf] = -1
    return found


@dataclass(frozen=True)
class Ranking:
    """Hold what lists come to, a value per user; NaN for users with nothing held out."""

    lists: Ints
    ndcg: Floats
    recall: Floats
    hit: Floats


def rank(serving: Serving, data: Interactions, users: Ints, cut: int = CUT) -> Ranking:
    """Judge the lists of these users, a block at a time."""
    lists, hits = [], []
    for first in range(0, len(users), USERS_AT_ONCE):
        own = users[first : first + USERS_AT_ONCE]
        found = top(serving.scores(own), data.train.dense(own), cut)
        lists.append(found)
        hits.append(np.take_along_axis(data.held.dense(own), found, axis=1) & (found >= 0))
    return judged(np.concatenate(lists), np.concatenate(hits), data.held.counts[users])


def judged(lists: Ints, hits: Bools, held: Ints) -> Ranking:
    """Return NDCG, recall and hit of lists whose hits are known; `held` counts what could be."""
    cut = lists.shape[1]
    gain = 1.0 / np.log2(np.arange(2, cut + 2))
    ideal = np.concatenate([[np.nan], np.cumsum(gain)])[np.minimum(held, cut)]
    count = np.where(held > 0, held, np.nan)
    any_hit = np.where(held > 0, hits.any(axis=1), np.nan)
    return Ranking(lists, (hits * gain).sum(axis=1) / ideal, hits.sum(axis=1) / count, any_hit)


def mean(values: Floats) -> float:
    """Return the mean over users who have something held out; NaN if none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def a_igf(ndcg: Floats, activity: Ints, share: float = ACTIVE) -> float:
    """Return the NDCG of the most active users less that of all others (CURE4Rec's A-IGF)."""
    order = np.argsort(-activity, kind="stable")
    active = max(1, int(len(order) * share))
    return mean(ndcg[order[:active]]) - mean(ndcg[order[active:]])


def shard_gf(ndcg: Floats, shard: Ints) -> float:
    """Return the variance over shards of their mean NDCG; 0 for one shard (CURE4Rec's ShardGF).

    A shard in which nobody has anything held out is left out.
    """
    means = [mean(ndcg[shard == s]) for s in np.unique(shard)]
    known = [value for value in means if not math.isnan(value)]
    return float(np.var(known)) if known else 0.0


def agreement(lists: Ints, others: Ints) -> float:
    """Return the mean share of items that two lists of a user have in common."""
    shares = [
        len(np.intersect1d(a[a >= 0], b[b >= 0])) / max(1, (a >= 0).sum())
        for a, b in zip(lists, others, strict=True)
    ]
    return float(np.mean(shares))
