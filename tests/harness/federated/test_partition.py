"""Samples dealt by class: every one once, in the proportions that closed forms give."""

import numpy as np
import pytest

from harness.core.errors import DataError
from harness.federated import partition
from harness.federated.partition import (
    class_mixes,
    class_shares,
    cut,
    few_classes,
    mixed_classes,
    unlikeness,
)

LABELS = np.repeat(np.array(["bed", "door", "sofa", "tree"]), [50, 200, 120, 33])


def _counts(labels, owned) -> np.ndarray:
    known = np.unique(labels)
    return np.array([[np.count_nonzero(labels[own] == c) for c in known] for own in owned])


@pytest.mark.parametrize(
    ("deal", "how"), [(mixed_classes, 0.01), (mixed_classes, 0.5), (mixed_classes, 1e5),
                      (few_classes, 1), (few_classes, 3), (few_classes, 9)],
)  # fmt: skip
@pytest.mark.parametrize("clients", [4, 7, 30])
def test_every_sample_is_given_out_once(deal, how, clients) -> None:
    owned = deal(LABELS, clients, how, np.random.default_rng(1))
    assert len(owned) == clients
    assert np.sort(np.concatenate(owned)).tolist() == list(range(len(LABELS)))
    assert all(np.array_equal(own, np.sort(own)) for own in owned)


@pytest.mark.parametrize("concentration", [0.01, 1.0, 100.0])
def test_clients_of_mixed_classes_are_of_one_size(concentration) -> None:
    """403 samples over 30 clients: 13 with 14 samples, 17 with 13."""
    owned = mixed_classes(LABELS, 30, concentration, np.random.default_rng(2))
    assert sorted(len(own) for own in owned) == [13] * 17 + [14] * 13


@pytest.mark.parametrize("concentration", [0.3, 2.0, 50.0])
def test_mixes_have_the_moments_of_a_dirichlet_around_the_prior(concentration) -> None:
    """Mean p, variance p·(1 − p)/(α + 1), covariance −p·p'/(α + 1): Hsu et al., Dir(α·p)."""
    prior = np.array([0.5, 0.3, 0.2])
    mixes = class_mixes(prior, 40_000, concentration, np.random.default_rng(3))
    wanted = (np.diag(prior) - np.outer(prior, prior)) / (concentration + 1.0)
    assert mixes.sum(axis=1) == pytest.approx(1.0)
    assert mixes.mean(axis=0) == pytest.approx(prior, abs=0.01)
    assert np.cov(mixes.T) == pytest.approx(wanted, abs=0.05 * wanted.max())


def test_samples_follow_the_mixes_that_were_drawn(monkeypatch) -> None:
    """Three mixes whose mean is the prior, so that nothing runs out before the end.

    Shares of 4000 draws are theirs but for the spread of a multinomial, √(q·(1 − q)/4000) < 0.008.
    """
    mixes = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.1, 0.6, 0.3]])
    monkeypatch.setattr(partition, "class_mixes", lambda *_: mixes)
    labels = np.repeat([4, 7, 9], [3600, 3600, 4800])
    owned = mixed_classes(labels, 3, 1.0, np.random.default_rng(4))
    assert _counts(labels, owned) / 4000 == pytest.approx(mixes, abs=0.03)


def test_a_class_that_has_run_out_leaves_room_for_the_others(monkeypatch) -> None:
    """All want class 0, of which there are 15, then class 2, of which there are 5.

    The first takes ten of class 0, the second the rest of both, and who finds neither what is left.
    """
    monkeypatch.setattr(partition, "class_mixes", lambda *_: np.array([[1.0, 0.0, 1e-9]] * 5))
    labels = np.repeat([0, 1, 2], [15, 30, 5])
    owned = mixed_classes(labels, 5, 1.0, np.random.default_rng(5))
    assert _counts(labels, owned).tolist() == [[10, 0, 0], [5, 0, 5], *[[0, 10, 0]] * 3]


def test_concentration_goes_from_few_classes_each_to_all_alike() -> None:
    """Ten balanced classes: 0.9 if each has one of its own; 200 even draws differ by chance alone:
    E|share − 1/10| is √(2/π · 0.09/200) for each of ten classes, halved; the last get what is left.
    """
    labels = np.repeat(np.arange(10), 400)
    found = {
        a: unlikeness(labels, mixed_classes(labels, 20, a, np.random.default_rng(6)))
        for a in (1e-3, 5.0, 1e6)
    }
    assert 0.75 < found[1e-3] <= 0.9
    assert 0.2 < found[5.0] < 0.6
    assert found[1e6] == pytest.approx(5.0 * np.sqrt(2 / np.pi * 0.09 / 200), rel=0.25)


def test_unlikeness_of_known_shares() -> None:
    """Two clients with nothing in common: each is half of the mean client. Equal ones: 0."""
    labels = np.array([0, 0, 1, 1])
    assert unlikeness(labels, [np.array([0, 1]), np.array([2, 3])]) == pytest.approx(0.5)
    assert unlikeness(labels, [np.array([0, 2]), np.array([1, 3])]) == 0.0


@pytest.mark.parametrize(("clients", "each"), [(4, 1), (2, 2), (10, 3), (12, 6), (3, 4), (5, 9)])
def test_every_client_has_so_many_classes_and_owners_share_evenly(clients, each) -> None:
    owned = few_classes(LABELS, clients, each, np.random.default_rng(7))
    counts = _counts(LABELS, owned)
    assert ((counts > 0).sum(axis=1) == min(each, 4)).all()
    for of_class in counts.T:
        assert np.ptp(of_class[of_class > 0]) <= 1
    owners = (counts > 0).sum(axis=0)
    assert np.ptp(owners) <= 1


def test_a_class_that_would_be_nobodys_is_refused() -> None:
    with pytest.raises(DataError, match="leave over some of 4"):
        few_classes(LABELS, 3, 1, np.random.default_rng(0))


def test_shares_that_sum_to_less_by_rounding_leave_nothing_to_another() -> None:
    """Six sixths are 0.9999999999999999: all 60 samples are the six owners', the last has none."""
    shares = np.array([[1 / 6] * 6 + [0.0]])
    assert sum([1 / 6] * 6) < 1.0
    owned = cut(np.zeros(60, int), np.arange(60), shares)
    assert [len(own) for own in owned] == [10] * 6 + [0]


def test_seeds_decide() -> None:
    for deal, how in ((mixed_classes, 0.5), (few_classes, 2)):
        one, again, other = (
            [own.tolist() for own in deal(LABELS, 6, how, np.random.default_rng(s))]
            for s in (0, 0, 1)
        )
        assert one == again
        assert one != other


def test_classes_are_dealt_about_equally_often() -> None:
    shares = class_shares(12, 2, 10, np.random.default_rng(8))
    owners = (shares > 0).sum(axis=1)
    assert owners.sum() == 24
    assert np.ptp(owners) <= 1
