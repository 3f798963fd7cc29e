"""Check how look-aheads become the affinity of a client, a round and a job."""

from collections import Counter

import numpy as np
import pytest

from harness.workloads.multitask.affinity.matrix import (
    Affinity,
    ClientAffinity,
    Epoch,
    client_mean,
    combine_clients,
)
from harness.workloads.multitask.protocol import RELEASE, REPAIRED, Protocol


def _one(client: int, values, count: int = 1) -> ClientAffinity:
    return ClientAffinity(client, np.array(values), count)


def test_negative_values_survive_averaging_and_clients_count_alike() -> None:
    """Mean over a client's look-aheads first, then over clients, with nothing clipped at zero."""
    looks = [np.array([[0.0, 0.7], [0.1, 0.0]]), np.array([[0.0, -0.9], [0.1, 0.0]])]
    one = client_mean([Epoch(looks[:1], 1), Epoch(looks[1:], 1)], 10, 0.1)

    result = combine_clients(4, [ClientAffinity(7, one, 2), _one(3, [[0.0, -0.5], [0.3, 0.0]])])

    assert result.mean == pytest.approx(np.array([[0, (-0.1 - 0.5) / 2], [0.2, 0]]))
    assert result.std[0, 1] == pytest.approx(np.std([-0.1, -0.5], ddof=1))
    assert (result.round, result.count) == (4, 3)
    assert [(c.client, c.count) for c in result.clients] == [(7, 2), (3, 1)]


def test_one_client_has_no_spread() -> None:
    """The spread between clients of a single client is not available, not zero."""
    assert np.isnan(combine_clients(0, [_one(0, np.eye(2))]).std).all()


def test_a_client_that_takes_part_twice_counts_twice() -> None:
    """The mean is over participations: a client there twice has two thirds of the say."""
    twice, once = np.full((2, 2), 3.0), np.zeros((2, 2))

    result = combine_clients(0, [_one(1, twice), _one(1, twice), _one(2, once)])

    assert result.mean == pytest.approx(np.full((2, 2), 2.0))


def test_rounds_count_alike_and_only_the_first_if_asked() -> None:
    """A job's affinity is the mean over its rounds, or over the first r of them."""
    rounds = tuple(combine_clients(r, [_one(0, np.full((1, 1), v), r + 1)])
                   for r, v in enumerate((1.0, 2.0, 6.0)))  # fmt: skip
    measured = Affinity("s", rounds)

    assert measured.mean == pytest.approx(3.0)
    assert measured.first(2).mean == pytest.approx(1.5)
    assert measured.first(None) == measured


@pytest.mark.parametrize(
    ("batches", "factor"),
    [(1, 10.0), (3, 10 / 3), (11, 20 / 11), (15, 4 / 3), (20, 1.0), (25, 1.2), (32, 1.25)],
)
def test_published_normalisation_inflates_by_ceil_over_quotient(batches, factor) -> None:
    """⌈B/10⌉ look-aheads over B/10; the repaired mean has no such factor."""
    looks = [np.full((1, 1), 0.5)] * -(-batches // 10)
    faulty = Protocol(looks_over_batches=True)

    assert client_mean([Epoch(looks, batches)], 10, 0.1, faulty) == pytest.approx(0.5 * factor)
    assert client_mean([Epoch(looks, batches)], 10, 0.1) == pytest.approx(0.5)


def test_published_sum_over_epochs_forgets_what_is_not_positive() -> None:
    """0.7, −0.9, +0.1 become 0.1 instead of −0.1; one epoch alone keeps its sign."""
    epochs = [Epoch([np.full((1, 1), v)], 1) for v in (0.7, -0.9, 0.1)]
    faulty = Protocol(epochs_summed=True)

    assert client_mean(epochs, 1, 0.1, faulty) == pytest.approx(0.1)
    assert client_mean(epochs, 1, 0.1) == pytest.approx(-0.1 / 3)
    assert client_mean(epochs[1:2], 1, 0.1, faulty) == pytest.approx(-0.9)


def test_published_values_are_over_the_learning_rate() -> None:
    """Z / η, so that rounds with a smaller rate weigh alike."""
    epoch = [Epoch([np.full((1, 1), 0.3)], 1)]

    assert client_mean(epoch, 1, 0.05, Protocol(affinity_over_rate=True)) == pytest.approx(6.0)


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_a_whole_published_round_agrees_with_counters_and_lists(epochs: int) -> None:
    """Against slow code written with what the published code uses: Counters, added up by epoch."""
    rng = np.random.default_rng(epochs)
    batches, every, rate = 23, 10, 0.07
    looks = [[rng.normal(size=(3, 3)) for _ in range(0, batches, every)] for _ in range(epochs)]
    total: Counter[tuple[int, int]] = Counter()
    for number, of_epoch in enumerate(looks):
        summed = Counter(
            {
                (j, i): sum(look[j, i] / rate for look in of_epoch) / (batches / every)
                for j in range(3)
                for i in range(3)
            }
        )
        total = total + summed if number else summed
    expected = [[total.get((j, i), 0.0) for i in range(3)] for j in range(3)]

    ours = client_mean([Epoch(of_epoch, batches) for of_epoch in looks], every, rate, RELEASE)

    assert ours == pytest.approx(np.array(expected), abs=1e-12)
    plain = client_mean([Epoch(of_epoch, batches) for of_epoch in looks], every, rate, REPAIRED)
    assert plain == pytest.approx(np.mean([m for e in looks for m in e], axis=0))
