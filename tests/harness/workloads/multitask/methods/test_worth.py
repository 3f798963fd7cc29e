"""Check the cost-aware choice of groups against cases worked by hand and brute force."""

import itertools
import math

import numpy as np
import pytest

from harness.workloads.multitask.methods.partition_score import most_per_cost


def test_strangers_stay_merged_while_the_encoder_is_dear() -> None:
    """Two tasks without effect on each other, Z_jj = 0.1, decoder cost 0.2.

    Merged: 0.1 at cost 1. Apart: 0.1·√2 at cost (2 + .4)/(1 + .4) = 1.714, so 0.0825 per cost.
    """
    split = most_per_cost(np.diag([0.1, 0.1]), "ab", 2, 0.2)

    assert split.groups == ("ab",)
    assert split.score == pytest.approx(0.1)


def test_tasks_that_harm_each_other_are_parted() -> None:
    """Z_ab = Z_ba = −0.05: merged 0.05 at cost 1, apart 0.0825 per cost as above."""
    split = most_per_cost(np.array([[0.1, -0.05], [-0.05, 0.1]]), "ab", 2, 0.2)

    assert split.groups == ("a", "b")
    assert split.score == pytest.approx(0.1 * math.sqrt(2) * 1.4 / 2.4)


def test_never_more_groups_than_allowed() -> None:
    harm = np.full((4, 4), -1.0) + np.diag([2.0] * 4)

    assert len(most_per_cost(harm, "abcd", 2, 0.2).groups) <= 2


def test_a_step_that_raises_losses_is_not_bettered_by_costing_more() -> None:
    """Own effects −0.1, others 0: merged −0.1·1; apart −0.1·√2 at 1.71 times the cost is worse."""
    split = most_per_cost(np.diag([-0.1, -0.1]), "ab", 2, 0.2)

    assert split.groups == ("ab",)
    assert split.score == pytest.approx(-0.1)


@pytest.mark.parametrize("seed", range(20))
def test_equals_brute_force_over_labellings(seed: int) -> None:
    """All maps from 4 tasks to 4 labels are tried with the formula written out anew."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0.02, 0.05, (4, 4))
    ratio = float(rng.uniform(0.05, 1.0))
    best = -math.inf
    for labels in itertools.product(range(4), repeat=4):
        groups = [[t for t in range(4) if labels[t] == g] for g in sorted(set(labels))]
        gain = 0.0
        for group in groups:
            for j in group:
                gain += sum(z[j, i] for i in group) * math.sqrt(4 / len(group)) / 4
        cost = sum(1 + ratio * len(group) for group in groups) / (1 + 4 * ratio)
        best = max(best, gain / cost if gain > 0 else gain * cost)

    assert most_per_cost(z, "abcd", 4, ratio).score == pytest.approx(best)


def test_naming_tasks_otherwise_permutes_the_groups() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(0.0, 0.05, (5, 5)) + np.diag([0.05] * 5)
    order = rng.permutation(5)
    renamed = most_per_cost(z[np.ix_(order, order)], "".join("abcde"[i] for i in order), 5, 0.2)

    plain = most_per_cost(z, "abcde", 5, 0.2)
    assert {frozenset(g) for g in renamed.groups} == {frozenset(g) for g in plain.groups}


@pytest.mark.parametrize("bad", [np.ones((2, 3)), np.array([[1.0, np.nan], [0.0, 1.0]])])
def test_a_matrix_that_does_not_fit_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        most_per_cost(bad, "ab", 2, 0.2)
