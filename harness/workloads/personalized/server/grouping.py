"""Group blocks round medoids of their own.

K-means needs a mean, and a mean of features of unlike networks has no meaning; a medoid is a block
(DeRy, NeurIPS 2022). A medoid stays in its group, so that none is empty.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.workloads.personalized.server.likeness import Likeness

STARTS = 8
STEPS = 20

Groups = NDArray[np.intp]


def medoid_groups(similar: Likeness, count: int, random: np.random.Generator) -> Groups:
    """Return the group of each block, from 0: the best of several starts by summed likeness."""
    best, found = -np.inf, np.zeros(len(similar), dtype=np.intp)
    count = min(count, len(similar))
    for _ in range(STARTS):
        groups, medoids = _settled(similar, random.choice(len(similar), count, replace=False))
        score = float(similar[np.arange(len(similar)), medoids[groups]].sum())
        if score > best + 1e-12:
            best, found = score, groups
    return found


def _settled(similar: Likeness, medoids: Groups) -> tuple[Groups, Groups]:
    """Return groups and medoids that a start comes to."""
    groups = _nearest(similar, medoids)
    for _ in range(STEPS):
        moved = np.array([_medoid(similar, np.flatnonzero(groups == g))
                          for g in range(len(medoids))], dtype=np.intp)  # fmt: skip
        if (moved == medoids).all():
            break
        medoids = moved
        groups = _nearest(similar, medoids)
    return groups, medoids


def _nearest(similar: Likeness, medoids: Groups) -> Groups:
    groups: Groups = similar[:, medoids].argmax(1)
    groups[medoids] = np.arange(len(medoids))
    return groups


def _medoid(similar: Likeness, members: Groups) -> int:
    return int(members[similar[np.ix_(members, members)].sum(0).argmax()])
