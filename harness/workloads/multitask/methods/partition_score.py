"""Find the partition of tasks that lowers the losses most for what it costs.

MAS asks how many groups there should be; here the number follows from affinity and cost. To first
order one training step on group g takes the share Σ over i in g of Z[j, i] off the loss of task j
in g, its own effect Z[j, j] included. Z is measured with the encoder gradient scaled by 1/√n for
all n tasks, the group's step scales by 1/√|g|, so that every entry counts √(n/|g|) times. The step
costs one encoder and |g| decoders, the encoder once for every group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.workloads.multitask.methods.split import Split, groups_of, members, partitions


def most_per_cost(
    affinity: NDArray[np.float64], tasks: str, splits: int, decoder_cost: float
) -> Split:
    """Return the partition into at most `splits` groups with the most loss reduction per cost.

    `affinity[j, i]` is the effect of task i's update on task j, diagonal included; `decoder_cost`
    is the cost of one decoder over that of the encoder. The score is the mean share of its loss
    that a task loses by one step, over the cost of a step of the merged model. Among equals fewer
    groups win.

    Raises:
        ValueError: if the matrix does not fit the tasks or holds anything but finite numbers.
    """
    n = len(tasks)
    if affinity.shape != (n, n) or not np.isfinite(affinity).all():
        raise ValueError(f"affinity must be {n}×{n} finite numbers for tasks {tasks}")
    gains = [_gain(affinity, members(mask)) for mask in range(1 << n)]
    merged_cost = 1.0 + n * decoder_cost
    best: tuple[float, int, list[int]] | None = None
    for masks in partitions(n, splits, exact=False):
        cost = (len(masks) + n * decoder_cost) / merged_cost
        score = _per_cost(sum(gains[mask] for mask in masks) / n, cost)
        if best is None or (score, -len(masks)) > best[:2]:
            best = (score, -len(masks), list(masks))
    assert best is not None
    return Split(groups_of(best[2], tasks), best[0])


def _gain(affinity: NDArray[np.float64], group: Sequence[int]) -> float:
    """Return the sum over the tasks of a group of the share of its loss that one step takes."""
    if not group:
        return 0.0
    return float(affinity[np.ix_(group, group)].sum()) * math.sqrt(len(affinity) / len(group))


def _per_cost(gain: float, cost: float) -> float:
    """Return gain per cost; a loss is not made smaller by spending more on it."""
    return gain / cost if gain > 0.0 else gain * cost
