"""Attacks: exact on small cases, a half for models that never saw the users."""

import itertools

import numpy as np
import pytest

from harness.workloads.unlearning.data.generated import Generated
from harness.workloads.unlearning.judging.attacks import _pooled, auc, mia_item, mia_user
from tests.harness.workloads.unlearning.conftest import Carried


def test_ties_count_half() -> None:
    assert auc(np.array([3, 2]), np.array([2, 1])) == 0.875
    assert auc(np.zeros(5), np.zeros(7)) == 0.5


def test_auc_counts_pairs() -> None:
    random = np.random.default_rng(0)
    p, n = (random.integers(0, 5, size).astype(float) for size in (11, 8))
    slow = np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(p, n)])
    assert auc(p, n) == pytest.approx(slow, rel=1e-12)


def test_the_pooled_attack_is_over_all_pairs_of_all_users() -> None:
    scored = [(np.array([3.0, 1.0]), np.array([2.0])), (np.array([5.0]), np.array([4.0, 0.0]))]
    found = _pooled(scored, 0)
    assert found.value == auc(np.array([3.0, 1.0, 5.0]), np.array([2.0, 4.0, 0.0]))
    assert found.low <= found.value <= found.high


def test_a_single_user_has_no_interval_and_a_user_without_items_no_value(carried) -> None:
    found = carried("retrain")
    assert mia_user(found.serving, found.world.data, np.array([3]), 0).low is None
    assert mia_item(found.serving, found.world.data, np.array([3]), 0).low is None
    assert mia_user(found.serving, found.world.data, np.array([], dtype=int), 0) is None
    assert mia_item(found.serving, found.world.data, np.array([], dtype=int), 0) is None


@pytest.mark.parametrize("text", ["retrain", "sisa:shards=3", "ultrare:shards=3", "finetune"])
def test_rows_that_are_wiped_cannot_be_told(carried, text) -> None:
    found = carried(text).forget(3, 17, 40)
    assert mia_user(found.serving, found.world.data, np.array([3, 17, 40]), 0).value == 0.5


def test_training_anew_is_the_reference_of_a_half() -> None:
    """Over many seeds: learning is found out, training anew is not (mean within its error)."""
    before, after = [], []
    for seed in range(24):
        data = Generated(80, 60, 14.0).draw(seed)
        found = Carried(data, "retrain", epochs=12, seed=seed)
        gone = np.arange(12)
        before.append(mia_item(found.serving, data, gone, seed).value)
        found.forget(*gone.tolist())
        after.append(mia_item(found.serving, data, gone, seed).value)
    error = np.std(after, ddof=1) / np.sqrt(len(after))
    assert abs(np.mean(after) - 0.5) < 3 * error
    assert error < 0.03
    assert np.mean(before) > 0.5 + 5 * error
