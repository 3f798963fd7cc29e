"""Find few groups, which may overlap, such that every task is in one where it does well.

TAG and HOA share the problem: each task has a score in each group, at most x groups are chosen, a
task counts with the best of its groups. Choosing groups is the same as cutting the tasks into at
most x blocks and giving every block the best group that holds it, so dynamic programming over
subsets finds the optimum in 3^n steps instead of trying all sets of groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.workloads.multitask.methods.split import members, names_of

SINGLETON_SCORE = -1e6
"""A task alone in TAG, so low that it stays alone only where there is no other group."""

TIE = 1e-12
"""Difference of two sums, over the sum of the magnitudes added, below which they are equal.

It is rounding only, whatever unit scores have: 2^-52 times the number of terms stays below it.
"""


@dataclass(frozen=True)
class Cover:
    """Hold groups and the block of tasks each serves, as bit masks, and the sum of task scores."""

    groups: tuple[int, ...]
    blocks: tuple[int, ...]
    total: float

    def names(self, tasks: str) -> tuple[str, ...]:
        """Return the groups as task letters."""
        return tuple("".join(names_of(mask, tasks)) for mask in self.groups)

    def serving(self, tasks: str) -> tuple[str, ...]:
        """Return, for each group, the letters of the tasks it serves."""
        return tuple("".join(names_of(mask, tasks)) for mask in self.blocks)


@dataclass(frozen=True)
class _Holder:
    """Hold the best group for a block of tasks: the sum of their scores, and of magnitudes."""

    total: float
    group: int
    magnitude: float


Scores = Sequence[NDArray[np.float64]]
"""By bit mask of a group: the score of every task in it, 0 for tasks outside."""


def tag_scores(affinity: NDArray[np.float64]) -> Scores:
    """Return TAG's scores: the mean effect of the others in the group on the task.

    `affinity[j, i]` is the effect of task i on task j; the diagonal is not used.
    """
    return _mean_over_partners(affinity, [SINGLETON_SCORE] * len(affinity))


def hoa_scores(losses: NDArray[np.float64]) -> Scores:
    """Return HOA's scores: minus the mean loss of the task in its pairs within the group.

    `losses[i, j]` is the loss of task i trained with j; the diagonal is a task alone.
    """
    return _mean_over_partners(-losses, [-float(loss) for loss in np.diag(losses)])


def _mean_over_partners(matrix: NDArray[np.float64], alone: Sequence[float]) -> Scores:
    n = len(matrix)
    found = [np.zeros(n) for _ in range(1 << n)]
    for mask in range(1, 1 << n):
        group = members(mask)
        for j in group:
            partners = [i for i in group if i != j]
            found[mask][j] = matrix[j, partners].mean() if partners else alone[j]
    return found


def best_cover(scores: Scores, splits: int, *, exact: bool = False) -> Cover:
    """Return the groups with the highest sum of task scores, every task counted in its best.

    Among equals fewer groups win. As one more group never lowers the sum, `exact` only adds groups
    that serve no task, the best by their own sum, until there are `splits`.

    Raises:
        ValueError: if `splits` is not between 1 and the number of tasks.
    """
    n = len(scores[0])
    if not 1 <= splits <= n:
        raise ValueError(f"splits must be between 1 and {n}, got {splits}")
    chosen = _merged(_blocks(_holders(scores), n, splits))
    if exact:
        sums = [float(score.sum()) for score in scores]
        spare = sorted((m for m in range(1, 1 << n) if m not in chosen), key=lambda m: -sums[m])
        chosen |= dict.fromkeys(spare[: splits - len(chosen)], 0)
    total = sum(float(scores[group][members(block)].sum()) for group, block in chosen.items())
    return Cover(tuple(chosen), tuple(chosen.values()), total)


def _holders(scores: Scores) -> list[_Holder]:
    """Return, for each block, the group with the best sum; of equals the smallest costs least."""
    everything = len(scores) - 1
    found = [_Holder(0.0, 0, 0.0)]
    for block in range(1, len(scores)):
        inside = members(block)
        rest = everything ^ block
        sums = {block | more: float(scores[block | more][inside].sum()) for more in _subsets(rest)}
        best = max(sums, key=lambda mask: sums[mask])
        limit = sums[best] - TIE * float(abs(scores[best][inside]).sum())
        equal = [mask for mask, value in sums.items() if value >= limit]
        group = min(equal, key=lambda mask: (mask.bit_count(), -sums[mask]))
        found.append(_Holder(sums[group], group, float(abs(scores[group][inside]).sum())))
    return found


def _blocks(holders: Sequence[_Holder], n: int, splits: int) -> list[tuple[int, int]]:
    """Return the best cut into at most `splits` blocks as pairs of group and block."""
    everything = (1 << n) - 1
    reached: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    best: tuple[float, list[int]] | None = None
    for _ in range(splits):
        reached = _one_more(reached, holders, everything)
        total, blocks = reached[everything]
        added = sum(holders[block].magnitude for block in blocks)
        if best is None or total > best[0] + TIE * added:
            best = (total, blocks)
        del reached[everything]
    assert best is not None
    return [(holders[block].group, block) for block in best[1]]


def _one_more(
    reached: dict[int, tuple[float, list[int]]],
    holders: Sequence[_Holder],
    everything: int,
) -> dict[int, tuple[float, list[int]]]:
    """Add one block to each cut of a part of the tasks; keep the best cut of each larger part.

    The block takes the first task that is missing, so each cut is made in one way only.
    """
    found: dict[int, tuple[float, list[int]]] = {}
    for done, (total, blocks) in reached.items():
        missing = everything ^ done
        first = missing & -missing
        for more in _subsets(missing ^ first):
            block = first | more
            value = total + holders[block].total
            part = done | block
            if part not in found or value > found[part][0]:
                found[part] = (value, [*blocks, block])
    return found


def _merged(cut: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Join the blocks that one group serves."""
    joined: dict[int, int] = {}
    for group, block in cut:
        joined[group] = joined.get(group, 0) | block
    return joined


def _subsets(mask: int) -> Iterator[int]:
    """Yield every part of a bit mask, from the whole down to nothing."""
    part = mask
    while True:
        yield part
        if part == 0:
            return
        part = (part - 1) & mask
