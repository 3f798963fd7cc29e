"""Find the partition of tasks with the highest affinity.

The objective is that of MAS (published `network_selection.py`) and TAG (Fifty et al., NeurIPS
2021): a task's score in a group is the mean effect of the other members on it; a task alone scores
the mean of its whole row and column off the diagonal; a partition is worth the mean score over
tasks. Every partition is looked at, so the result is the optimum, not an approximation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Split:
    """Hold disjoint groups of task letters that cover all tasks, and what they are worth."""

    groups: tuple[str, ...]
    score: float


def best_split(
    affinity: NDArray[np.float64], tasks: str, splits: int, *, exact: bool = False
) -> Split:
    """Return the best partition into at most (or exactly) `splits` groups.

    `affinity[j, i]` is the effect of task i's update on task j (recipients in rows); the diagonal
    is not used. Among equals the first in order of restricted growth strings wins, which begins
    with fewer groups.

    Raises:
        ValueError: if the matrix does not fit the tasks, holds anything but finite numbers off the
            diagonal, or `splits` is not between 1 and the number of tasks.
    """
    n = len(tasks)
    if affinity.shape != (n, n):
        raise ValueError(f"affinity is {affinity.shape}, expected {(n, n)} for tasks {tasks}")
    masks, score = best_masks(affinity, splits, exact=exact)
    return Split(groups_of(masks, tasks), score)


def best_masks(
    affinity: NDArray[np.float64], splits: int, *, exact: bool = False
) -> tuple[list[int], float]:
    """Return the best partition as bit masks of rows, and its score; else as `best_split`."""
    n = len(affinity)
    _check(affinity, splits)
    scores = [_group_score(affinity, members(mask)) for mask in range(1 << n)]
    best: tuple[float, list[int]] | None = None
    for masks in partitions(n, splits, exact=exact):
        score = sum(scores[mask] for mask in masks) / n
        if best is None or score > best[0]:
            best = (score, list(masks))
    assert best is not None
    return best[1], best[0]


def members(mask: int) -> list[int]:
    """Return the items of a bit mask."""
    return [i for i in range(mask.bit_length()) if mask >> i & 1]


def names_of(mask: int, names: Sequence[str]) -> list[str]:
    """Return the names of the items of a bit mask."""
    return [names[i] for i in members(mask)]


def groups_of(masks: Sequence[int], tasks: str) -> tuple[str, ...]:
    """Return groups of task letters for bit masks."""
    return tuple("".join(names_of(mask, tasks)) for mask in masks)


def _check(affinity: NDArray[np.float64], splits: int) -> None:
    n = len(affinity)
    if not np.isfinite(affinity[~np.eye(n, dtype=bool)]).all():
        raise ValueError("affinity holds a value that is not a finite number")
    if not 1 <= splits <= n:
        raise ValueError(f"splits must be between 1 and {n}, got {splits}")


def _group_score(affinity: NDArray[np.float64], group: list[int]) -> float:
    """Return the sum of its members' scores."""
    if len(group) == 1:
        return _alone(affinity, group[0])
    inside = affinity[np.ix_(group, group)]
    return float((inside.sum() - np.trace(inside)) / max(len(group) - 1, 1))


def _alone(affinity: NDArray[np.float64], task: int) -> float:
    others = [i for i in range(len(affinity)) if i != task]
    if not others:
        return 0.0
    return float((affinity[task, others].sum() + affinity[others, task].sum()) / (2 * len(others)))


def partitions(n: int, splits: int, *, exact: bool) -> Iterator[list[int]]:
    """Yield partitions of n items into at most (exactly) `splits` groups, as lists of bit masks.

    The list is the same object every time: copy what is to be kept.
    """

    def extend(item: int, groups: list[int]) -> Iterator[list[int]]:
        if exact and len(groups) + n - item < splits:
            return  # too few items are left to open the missing groups
        if item == n:
            yield groups
            return
        for index in range(len(groups)):
            groups[index] |= 1 << item
            yield from extend(item + 1, groups)
            groups[index] ^= 1 << item
        if len(groups) < splits:
            groups.append(1 << item)
            yield from extend(item + 1, groups)
            groups.pop()

    yield from extend(0, [])
