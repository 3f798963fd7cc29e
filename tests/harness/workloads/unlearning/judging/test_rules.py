"""Cost rules in closed form, and what may be said of completeness."""

import math

import numpy as np
import pytest

from harness.workloads.unlearning.judging.rules import (
    break_even,
    expected_shards,
    forgotten,
    nearest_rank,
    sliced_share,
    succeeds,
)


def test_shards_touched_by_users_who_are_spread_evenly() -> None:
    assert expected_shards(10, 1) == pytest.approx(1.0)
    assert expected_shards(10, 45) == pytest.approx(9.9127, abs=1e-4)
    random = np.random.default_rng(0)
    drawn = [len(set(random.integers(0, 10, 5))) for _ in range(4000)]
    assert expected_shards(10, 5) == pytest.approx(np.mean(drawn), abs=0.05)


def test_slices_save_a_third_at_most() -> None:
    def share(slices):
        """Stage r trains on slices 1 to r; a request in slice s redoes stages s to the last."""
        stages = np.arange(1, slices + 1)
        return np.mean([stages[s:].sum() for s in range(slices)]) / stages.sum()

    assert all(sliced_share(n) == pytest.approx(share(n)) for n in (1, 2, 5, 20))
    assert sliced_share(1) == 1.0
    assert sliced_share(10**9) == pytest.approx(2 / 3)


def test_when_being_ready_has_paid() -> None:
    assert break_even(20, 1, 10, 6) == 2
    assert break_even(20, 6, 10, 1) == math.inf
    assert break_even(20, 6, 10, 6) == math.inf
    assert break_even(5, 1, 9, 2) == 0
    assert break_even(10, 6, 10, 6) == 0


def test_percentile_by_nearest_rank() -> None:
    assert nearest_rank(list(range(1, 101)), 95.0) == 95
    assert nearest_rank([3.0, 1.0, 2.0], 95.0) == 3.0
    assert nearest_rank([7.0], 95.0) == 7.0


@pytest.mark.parametrize(
    ("guarantee", "user", "item", "said"),
    [
        ("exact", (0.5, 0.5), (0.55, 0.7), "exact"),
        ("approximate", (0.5, 0.5), (0.55, 0.7), "not forgotten (mia_item succeeds)"),
        ("approximate", (0.2, 0.4), (0.4, 0.6), "not forgotten (mia_user succeeds)"),
        ("approximate", (0.2, 0.4), (0.6, 0.7), "not forgotten (mia_user and mia_item succeed)"),
        ("approximate", (0.5, 0.5), (0.4, 0.6), "approximate; no attack here succeeds"),
        ("approximate", (None, None), (None, None), "not known (too few users for an interval)"),
    ],
)
def test_an_approximate_method_is_never_called_forgotten_when_found_out(
    guarantee, user, item, said
) -> None:
    assert forgotten(guarantee, user, item) == said


def test_a_value_below_a_half_tells_who_left_only_by_own_scores() -> None:
    assert succeeds(0.2, 0.4, both_sides=True) is True
    assert succeeds(0.2, 0.4) is False
