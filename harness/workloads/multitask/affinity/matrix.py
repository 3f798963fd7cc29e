"""Hold measured affinities and average them, from look-aheads to rounds.

Z[i→j] says how much task i's step lowers task j's loss, relative to that loss; Z > 0 says that i
helps j. Matrices have the recipient j in the row and the source i in the column. How Z is measured
is in `harness.workloads.multitask.affinity.measure`; nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.workloads.multitask.protocol import REPAIRED, Protocol

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class CheckedLooks:
    """Hold means of the same look-aheads in both ways, by which linear ones are judged."""

    exact: Matrix
    linear: Matrix

    @property
    def signs_alike(self) -> float:
        """Return the share of pairs of unlike tasks whose sign both have; NaN for one task."""
        exact, linear = self._pairs()
        return float(np.mean(np.sign(exact) == np.sign(linear))) if len(exact) else float("nan")

    @property
    def size_ratio(self) -> float:
        """Return the mean size of linear over exact entries of unlike tasks; NaN without any."""
        exact, linear = self._pairs()
        size = float(np.abs(exact).sum())
        return float(np.abs(linear).sum()) / size if size else float("nan")

    def _pairs(self) -> tuple[Matrix, Matrix]:
        off = ~np.eye(len(self.exact), dtype=bool)
        return self.exact[off], self.linear[off]


@dataclass(frozen=True)
class ClientAffinity:
    """Hold what one client measured in one round: its mean matrix and its look-aheads, counted.

    `checked` is there for the one client of a job whose linear look-aheads were also taken exactly.
    """

    client: int
    mean: Matrix
    count: int
    checked: CheckedLooks | None = None


@dataclass(frozen=True)
class RoundAffinity:
    """Hold one round: mean over its clients, spread between them, look-aheads, each client's own.

    `clients` may be empty where only the mean is known.
    """

    round: int
    mean: Matrix
    std: Matrix
    count: int
    clients: tuple[ClientAffinity, ...] = ()


@dataclass(frozen=True)
class Affinity:
    """Collect the affinities of a job, recipients in rows, in the order of `tasks`."""

    tasks: str
    rounds: tuple[RoundAffinity, ...]

    @property
    def mean(self) -> Matrix:
        """Return the mean over rounds, each counting alike."""
        mean: Matrix = np.stack([r.mean for r in self.rounds]).mean(axis=0)
        return mean

    @property
    def checked(self) -> tuple[int, CheckedLooks] | None:
        """Return the client whose look-aheads were taken in both ways, and those; None without."""
        found = (c for r in self.rounds for c in r.clients if c.checked is not None)
        client = next(found, None)
        return None if client is None or client.checked is None else (client.client, client.checked)

    def first(self, rounds: int | None) -> Affinity:
        """Return the affinity of the first rounds; of all with None."""
        return Affinity(self.tasks, self.rounds[:rounds])


@dataclass(frozen=True)
class Epoch:
    """Hold the look-aheads of one local epoch and the number of batches it had."""

    looks: Sequence[Matrix]
    batches: int


def client_mean(
    epochs: Sequence[Epoch], every: int, learning_rate: float, protocol: Protocol = REPAIRED
) -> Matrix:
    """Return one client's affinity of a round from its look-aheads.

    Repaired: the mean over all look-aheads, negative values and all. The published code differs in
    three ways, each a field of `Protocol`: values over the learning rate; the sum of an epoch over
    batches / `every`, which is less than the number of look-aheads unless `every` divides the
    batches; epochs added up in `collections.Counter`s, whose sum forgets every entry that is not
    positive. A forgotten entry counts as 0 here; there, averaging over clients may end in a
    `KeyError`.
    """
    found = [_epoch_mean(epoch, every, protocol) for epoch in epochs]
    counts = [len(epoch.looks) for epoch in epochs]
    total: Matrix
    if protocol.epochs_summed:
        total = found[0]
        for more in found[1:]:
            total = np.maximum(total + more, 0.0)
    else:
        total = np.average(np.stack(found), axis=0, weights=counts)
    return total / learning_rate if protocol.affinity_over_rate else total


def _epoch_mean(epoch: Epoch, every: int, protocol: Protocol) -> Matrix:
    if not protocol.looks_over_batches:
        mean: Matrix = np.mean(epoch.looks, axis=0)
        return mean
    total: Matrix = np.sum(epoch.looks, axis=0)
    return total / (epoch.batches / every)


def combine_clients(round_index: int, clients: Sequence[ClientAffinity]) -> RoundAffinity:
    """Average the clients of a round, each counting alike whatever its size.

    A client that takes part twice counts twice. The spread is NaN for a single client.
    """
    means = np.stack([client.mean for client in clients])
    std = means.std(axis=0, ddof=1) if len(means) > 1 else np.full(means.shape[1:], np.nan)
    count = sum(client.count for client in clients)
    return RoundAffinity(round_index, means.mean(axis=0), std, count, tuple(clients))
