"""Balanced partitions against brute force and an independent solver."""

import itertools
import sys

import numpy as np
import pytest

from harness.core.errors import MissingPackageError
from harness.workloads.unlearning.partition import (
    at_random,
    by_transport,
    cheapest,
    distances_to,
    greedily,
    inside_share,
    nearest_first,
)

LINE = distances_to(np.arange(4.0)[:, None], np.array([[0.0], [1.0]]))
"""Points 0, 1, 2, 3 and centres 0, 1."""


def cost(distances, label):
    return distances[np.arange(len(label)), label].sum()


def test_transport_finds_the_optimum_and_greed_does_not() -> None:
    """Two each: 6 is the least there is, nearest first comes to 10, farthest first to 14."""
    best = min(cost(LINE, list(c)) for c in itertools.product((0, 1), repeat=4) if sum(c) == 2)
    assert cost(LINE, cheapest(LINE)) == best == 6
    assert cost(LINE, nearest_first(LINE, 2)) == 10
    assert cost(LINE, nearest_first(-LINE, 2)) == 14


@pytest.mark.parametrize(("users", "shards"), [(7, 3), (8, 3), (9, 3), (3, 3), (5, 4)])
def test_transport_is_the_cheapest_of_all_balanced_assignments(users, shards) -> None:
    distances = np.random.default_rng(users).random((users, shards))
    sizes = {users // shards, -(-users // shards)}
    best = min(
        cost(distances, list(c))
        for c in itertools.product(range(shards), repeat=users)
        if set(np.bincount(c, minlength=shards)) <= sizes
    )
    found = cheapest(distances)
    assert cost(distances, found) == pytest.approx(best, rel=1e-12)
    assert set(np.bincount(found, minlength=shards)) <= sizes


def test_transport_agrees_with_an_assignment_solver_on_repeated_columns() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    distances = np.random.default_rng(3).random((40, 4))
    wide = np.repeat(distances, 10, axis=1)
    assert cost(distances, cheapest(distances)) == pytest.approx(
        wide[optimize.linear_sum_assignment(wide)].sum(), rel=1e-12
    )


@pytest.mark.parametrize("users", [23, 24])
def test_sizes_differ_by_at_most_one(users) -> None:
    points = np.random.default_rng(1).normal(size=(users, 2))
    for divide in (greedily, by_transport):
        label = divide(points, 4, np.random.default_rng(0))
        assert set(np.bincount(label, minlength=4)) <= {5, 6}
        assert inside_share(points, label) < 0.9
    assert set(np.bincount(at_random(users, 4, np.random.default_rng(0)))) <= {5, 6}


def test_slack_lets_shards_of_greedy_clusters_be_larger() -> None:
    points = np.concatenate([np.zeros((15, 1)), np.ones((5, 1))])
    tight = greedily(points, 2, np.random.default_rng(0))
    loose = greedily(points, 2, np.random.default_rng(0), slack=1.5)
    assert sorted(np.bincount(tight)) == [10, 10]
    assert max(np.bincount(loose)) == 15


def test_without_the_package_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ot.lp", None)
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(MissingPackageError, match="POT") as caught:
        cheapest(LINE)
    assert "pip install POT" in caught.value.remedy
