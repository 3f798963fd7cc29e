"""Lists, NDCG, recall, hit and fairness by hand and by slow code."""

import math

import numpy as np
import pytest

from harness.workloads.unlearning.judging.ranking import (
    a_igf,
    agreement,
    judged,
    mean,
    rank,
    shard_gf,
    top,
)


def test_hits_at_ranks_one_and_three_of_three() -> None:
    """k = 4: DCG 1.5 by an ideal of 2.13093."""
    found = judged(np.array([[0, 1, 2, 3]]), np.array([[1, 0, 1, 0]], dtype=bool), np.array([3]))
    assert found.ndcg[0] == pytest.approx(1.5 / 2.1309297536, rel=1e-9)
    assert found.ndcg[0] == pytest.approx(0.703918, abs=1e-6)
    assert (found.recall[0], found.hit[0]) == (pytest.approx(2 / 3), 1.0)


def test_the_ideal_is_cut_where_the_list_is() -> None:
    """Three held out, k = 2, hit at the first: 0.613147, not the 0.469279 of an uncut ideal."""
    found = judged(np.array([[0, 1]]), np.array([[True, False]]), np.array([3]))
    assert found.ndcg[0] == pytest.approx(0.613147, abs=1e-6)
    assert found.recall[0] == pytest.approx(1 / 3)


def test_users_with_nothing_held_out_are_in_no_mean() -> None:
    hits = np.array([[True, False], [False, False]])
    found = judged(np.array([[0, 1], [0, 1]]), hits, np.array([1, 0]))
    assert [math.isnan(x[1]) for x in (found.ndcg, found.recall, found.hit)] == [True] * 3
    assert mean(found.ndcg) == 1.0
    assert math.isnan(mean(np.array([np.nan])))


def test_ties_go_to_the_lower_item_and_trained_items_are_left_out() -> None:
    seen = np.array([[True, False, False, False]])
    assert top(np.zeros((1, 4)), seen, 2).tolist() == [[1, 2]]
    assert top(np.array([[9.0, 1.0, 5.0, 5.0]]), seen, 3).tolist() == [[2, 3, 1]]
    assert top(np.zeros((1, 4)), seen, 9).tolist() == [[1, 2, 3, -1]]


def test_lists_are_those_of_sorting_everything() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 6, size=(30, 40)).astype(float)  # many ties
    seen = random.random((30, 40)) < 0.3
    slow = [
        sorted(np.flatnonzero(~seen[u]), key=lambda i, u=u: (-scores[u, i], i))[:20]
        for u in range(30)
    ]
    assert top(scores, seen, 20).tolist() == [[int(i) for i in row] for row in slow]


def test_ndcg_agrees_with_a_published_implementation(carried) -> None:
    """scikit-learn's, with all items of a list of 20 as its documents."""
    metrics = pytest.importorskip("sklearn.metrics")
    found = carried("retrain")
    users = found.world.data.everyone
    ranking = rank(found.serving, found.world.data, users)
    held = found.world.data.held.dense(users)
    for user in (0, 5, 33):
        if not held[user].any():
            continue
        liked = np.flatnonzero(held[user])
        seen = found.world.data.train.of_user(user)
        scores = found.serving.scores(np.array([user]))[0].astype(float)
        rest = np.setdiff1d(np.arange(50), seen)
        truth = np.isin(rest, liked).astype(float)[None]
        assert ranking.ndcg[user] == pytest.approx(
            metrics.ndcg_score(truth, scores[rest][None], k=20), rel=1e-9
        )


def test_fairness_on_four_users() -> None:
    ndcg, activity = np.array([0.9, 0.5, 0.3, 0.1]), np.array([9, 5, 4, 1])
    assert a_igf(ndcg, activity, share=0.25) == pytest.approx(0.6)
    assert shard_gf(ndcg, np.array([0, 0, 1, 1])) == pytest.approx(0.0625)
    assert shard_gf(ndcg, np.zeros(4, dtype=int)) == 0.0
    assert shard_gf(np.array([0.9, 0.5, np.nan, np.nan]), np.array([0, 0, 1, 1])) == 0.0


def test_agreement_is_the_share_in_common() -> None:
    assert agreement(np.array([[1, 2, 3, 4]]), np.array([[4, 9, 8, 1]])) == 0.5
    assert agreement(np.array([[1, 2, -1]]), np.array([[2, 1, -1]])) == 1.0
