"""Ask how sure a split is: over rounds, between clients, and against what all splits give.

A history holds what was measured round by round, the mean and every client's own matrix. All
questions are about the split that `best_split` finds for a mean of some of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.workloads.multitask.methods.split import best_masks, names_of, partitions

Matrix = NDArray[np.float64]
Split = tuple[tuple[str, ...], ...]
"""Groups of task names."""


@dataclass(frozen=True)
class Question:
    """Say what split is looked for: names of tasks, number of groups, exactly or at most."""

    names: tuple[str, ...]
    splits: int
    exact: bool = True

    def answer(self, affinity: Matrix) -> Split:
        """Return the split that an affinity matrix gives."""
        masks, _ = best_masks(affinity, self.splits, exact=self.exact)
        return _named(masks, self.names)


def _named(masks: Sequence[int], names: Sequence[str]) -> Split:
    return tuple(tuple(names_of(mask, names)) for mask in masks)


@dataclass(frozen=True)
class ClientMatrix:
    """Hold what a client measured in a round."""

    round: int
    client: int
    matrix: Matrix


@dataclass(frozen=True)
class Stage:
    """Hold the split that the rounds up to and including one give."""

    round: int
    split: Split


def splits_over_rounds(rounds: Mapping[int, Matrix], question: Question) -> list[Stage]:
    """Return the split after each round: that of the mean over all rounds so far."""
    stages = []
    total: Matrix = np.zeros((len(question.names),) * 2)
    for count, (number, matrix) in enumerate(sorted(rounds.items()), 1):
        total = total + matrix
        stages.append(Stage(number, question.answer(total / count)))
    return stages


def stable_from(stages: Sequence[Stage]) -> int:
    """Return the first round after which the split is the last one and stays so."""
    found = stages[-1]
    for stage in reversed(stages):
        if stage.split != found.split:
            break
        found = Stage(stage.round, found.split)
    return found.round


@dataclass(frozen=True)
class Agreement:
    """Say how clients agree with the mean over all of them, and among each other.

    `same_split` is the share of clients whose own mean matrix gives the split of the whole,
    `with_whole` the mean rank correlation of a client's entries with the whole's and `with_others`
    that of pairs of clients; diagonals are not used. NaN where there is nothing to correlate: one
    client, or entries that are all equal.
    """

    clients: int
    same_split: float
    with_whole: float
    with_others: float


def agreement(measured: Sequence[ClientMatrix], question: Question) -> Agreement:
    """Return how clients agree; each client's matrix is the mean over its rounds."""
    own = _own_means(measured)
    whole = _mean([m.matrix for m in measured])
    split = question.answer(whole)
    same = [question.answer(matrix) == split for matrix in own.values()]
    pairs = [
        rank_correlation(one, two)
        for index, one in enumerate(own.values())
        for two in list(own.values())[index + 1 :]
    ]
    with_whole = [rank_correlation(matrix, whole) for matrix in own.values()]
    return Agreement(len(own), float(np.mean(same)), _known_mean(with_whole), _known_mean(pairs))


def rank_correlation(one: Matrix, two: Matrix) -> float:
    """Return Spearman's ρ of the entries off the diagonal, ties with their mean rank."""
    off = ~np.eye(len(one), dtype=bool)
    x, y = (_ranks(matrix[off]) for matrix in (one, two))
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size else float("nan")


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: NDArray[np.float64] = last - (counts - 1) / 2.0
    return middle[places]


def bootstrap(
    measured: Sequence[ClientMatrix], question: Question, draws: int, random: np.random.Generator
) -> list[tuple[Split, float]]:
    """Return the splits that samples of clients give and how often, the most frequent first.

    Clients are drawn with replacement, each with all that it measured, as measurements of one
    client are not independent.
    """
    of_client: dict[int, list[Matrix]] = {}
    for m in measured:
        of_client.setdefault(m.client, []).append(m.matrix)
    sums = np.stack([np.sum(matrices, axis=0) for matrices in of_client.values()])
    sizes = np.array([len(matrices) for matrices in of_client.values()], dtype=float)
    counted: Counter[Split] = Counter()
    for _ in range(draws):
        drawn = random.integers(len(sizes), size=len(sizes))
        counted[question.answer(sums[drawn].sum(axis=0) / sizes[drawn].sum())] += 1
    return [(split, count / draws) for split, count in counted.most_common()]


SURE = 0.8
"""From this share of samples on a split is called sure; below it, a coin toss."""

SAMPLES = 200
SAMPLES_SEED = 0


def sureness(
    measured: Sequence[ClientMatrix],
    choose: Callable[[Matrix], Iterable[Hashable]],
    draws: int = SAMPLES,
    random: np.random.Generator | None = None,
) -> float:
    """Return the share of samples of rounds and clients that give the groups of all of them.

    `choose` returns the groups that a mean matrix gives; their order does not matter.

    Raises:
        ValueError: if nothing was measured.
    """
    random = np.random.default_rng(SAMPLES_SEED) if random is None else random
    whole = frozenset(choose(_mean_of_rounds(measured)))
    same = [frozenset(choose(mean)) == whole for mean in sampled_means(measured, draws, random)]
    return float(np.mean(same))


def sampled_means(
    measured: Sequence[ClientMatrix], draws: int, random: np.random.Generator
) -> Iterator[Matrix]:
    """Yield the means that samples of rounds and of clients give, both drawn with replacement.

    The pigeonhole bootstrap (Owen, Ann. Appl. Stat. 2007): what a client measured in a round counts
    as often as the round was drawn, within the round as often as the client was. Rounds differ as
    training goes on and a client's measurements are alike, so neither is drawn alone; the spread is
    if anything too wide. A sample with no measurement at all is drawn again.

    Raises:
        ValueError: if nothing was measured.
    """
    if not measured:
        raise ValueError("no affinity was measured")
    rounds, round_of = np.unique([m.round for m in measured], return_inverse=True)
    clients, client_of = np.unique([m.client for m in measured], return_inverse=True)
    matrices = np.stack([m.matrix for m in measured])
    member = round_of == np.arange(len(rounds))[:, None]
    for _ in range(draws):
        weights: NDArray[np.float64] = np.zeros(len(measured))
        while not weights.any():
            of_round = np.bincount(random.integers(len(rounds), size=len(rounds)),
                                   minlength=len(rounds))  # fmt: skip
            of_client = np.bincount(random.integers(len(clients), size=len(clients)),
                                    minlength=len(clients))  # fmt: skip
            within = member * of_client[client_of]
            present = within.sum(axis=1)
            shares = np.where(present, of_round / np.maximum(present, 1), 0.0)
            weights = shares @ within
        yield np.tensordot(weights / weights.sum(), matrices, axes=1)


def _mean_of_rounds(measured: Sequence[ClientMatrix]) -> Matrix:
    """Return the mean over rounds of the mean over their clients, as methods take it."""
    of_round: dict[int, list[Matrix]] = {}
    for m in measured:
        of_round.setdefault(m.round, []).append(m.matrix)
    if not of_round:
        raise ValueError("no affinity was measured")
    return _mean([_mean(matrices) for matrices in of_round.values()])


@dataclass(frozen=True)
class Regret:
    """Hold the total loss of a split beside the best and worst of as many groups.

    `rank` is 1 for the best; `share` is 0 for the best and 1 for the worst, NaN if all are equal.
    """

    loss: float
    best: float
    worst: float
    rank: int
    of: int
    best_split: Split

    @property
    def share(self) -> float:
        """Return how much of the way from best to worst is lost."""
        width = self.worst - self.best
        return (self.loss - self.best) / width if width else float("nan")


def regret(split: Split, losses: Mapping[frozenset[str], float], names: Sequence[str]) -> Regret:
    """Return the regret of a split when the summed loss of every group is known.

    Raises:
        KeyError: if a group that some split into as many groups needs is not in `losses`.
    """
    totals = {
        named: sum(losses[frozenset(group)] for group in named)
        for named in (
            _named(masks, names) for masks in partitions(len(names), len(split), exact=True)
        )
    }
    loss = sum(losses[frozenset(group)] for group in split)
    best = min(totals, key=lambda named: totals[named])
    rank = 1 + sum(total < loss for total in totals.values())
    return Regret(loss, totals[best], max(totals.values()), rank, len(totals), best)


def pair_losses(losses: Matrix, names: Sequence[str]) -> dict[frozenset[str], float]:
    """Return the loss of every group as pairs foretell it (Standley et al., ICML 2020).

    `losses[i, j]` is the loss of task i trained with j, the diagonal that of a task alone. A task's
    loss in a group is the mean over its pairs there.
    """
    n = len(names)
    found = {}
    for mask in range(1, 1 << n):
        group = [i for i in range(n) if mask >> i & 1]
        total = 0.0
        for i in group:
            partners = [j for j in group if j != i] or [i]
            total += float(losses[i, partners].mean())
        found[frozenset(names[i] for i in group)] = total
    return found


def _own_means(measured: Sequence[ClientMatrix]) -> dict[int, Matrix]:
    own: dict[int, list[Matrix]] = {}
    for m in measured:
        own.setdefault(m.client, []).append(m.matrix)
    return {client: _mean(matrices) for client, matrices in sorted(own.items())}


def _mean(matrices: Sequence[Matrix]) -> Matrix:
    mean: Matrix = np.mean(matrices, axis=0)
    return mean


def _known_mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
