"""Identities of CKA and of groups round medoids."""

import itertools

import numpy as np
import pytest
import torch

from harness.workloads.personalized.server.grouping import medoid_groups
from harness.workloads.personalized.server.likeness import cka, likeness, pooled, traces
from models.personalized.blocks import build
from models.personalized.families import FAMILIES, shapes


def features(rows, columns, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=random, dtype=torch.float64)


def test_rotation_scale_shift_and_constant_columns_change_nothing() -> None:
    x = features(200, 6)
    turn = torch.linalg.qr(features(6, 6, 1))[0]
    assert cka(x, x) == pytest.approx(1, abs=1e-12)
    assert cka(x, x @ turn) == pytest.approx(1, abs=1e-12)
    assert cka(x, 7.5 * x + 3) == pytest.approx(1, abs=1e-12)
    padded = torch.cat([x, torch.ones(200, 9, dtype=x.dtype)], 1)
    assert cka(x, padded) == pytest.approx(1, abs=1e-12)


def test_one_stretched_axis_changes_much() -> None:
    x = features(200, 6)
    assert cka(x, x * torch.tensor([30.0, 1, 1, 1, 1, 1])) < 0.6


def test_of_one_column_each_it_is_the_squared_correlation() -> None:
    """Covariance 4, variances 2 and 26/3: 16 / (2 · 26/3) = 12/13."""
    x, y = (torch.tensor([[v] for v in column]) for column in ([0.0, 1, 2], [0.0, 1, 4]))
    assert cka(x, y) == pytest.approx(12 / 13, abs=1e-12)
    assert cka(y, x) == pytest.approx(cka(x, y), abs=1e-15)
    a, b = (torch.tensor([[v] for v in col]) for col in ([1.0, -1, 1, -1], [1.0, 1, -1, -1]))
    assert cka(a, b) == pytest.approx(0, abs=1e-12)


def test_a_dead_layer_is_like_nothing() -> None:
    assert cka(features(50, 3), torch.ones(50, 4)) == 0.0


def test_the_order_of_images_matters() -> None:
    x = features(64, 5)
    assert cka(x, x[torch.randperm(64, generator=torch.Generator().manual_seed(1))]) < 0.5


def test_few_images_and_many_features_look_alike_whatever_they_are() -> None:
    """Why public images have a least number, and maps are pooled."""
    assert cka(features(32, 4000), features(32, 4000, 1)) > 0.9
    assert cka(features(2000, 4), features(2000, 4, 1)) < 0.05
    assert pooled(torch.rand(2, 5, 9, 8)).shape == (2, 5, 4, 4)
    assert pooled(torch.rand(2, 5, 2, 2)).shape == (2, 5, 2, 2)


def test_likeness_of_blocks_is_that_of_plain_formulas() -> None:
    """‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) of centred, pooled features; first blocks see the same images."""
    images = torch.rand(120, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = [
        trace
        for seed, family in enumerate(("mobile", "dense", "small"))
        for trace in traces(build(shapes(family, (1, 8, 8), 10),
                                  torch.Generator().manual_seed(seed)), images)
    ]  # fmt: skip
    sides = []
    for seed, family in enumerate(("mobile", "dense", "small")):
        net = build(shapes(family, (1, 8, 8), 10), torch.Generator().manual_seed(seed)).eval()
        arriving = images
        for block in net.blocks:
            gives = block(arriving)
            sides.append((arriving, gives))
            arriving = gives
    similar = likeness(found)
    for (i, one), (j, other) in itertools.product(enumerate(sides), repeat=2):
        expected = sum(plain_cka(a, b) for a, b in zip(one, other, strict=True))
        assert similar[i, j] == pytest.approx(expected, abs=1e-4)
    assert (similar >= 0).all()
    assert (similar <= 2).all()
    firsts = [0, len(FAMILIES["mobile"].blocks) + 2]
    assert float((found[firsts[0]].gram_in * found[firsts[1]].gram_in).sum()) == pytest.approx(1)


def plain_cka(x, y):
    x, y = (pooled(z).detach().double().flatten(1) for z in (x, y))
    x, y = x - x.mean(0), y - y.mean(0)
    sizes = (x.T @ x).norm() * (y.T @ y).norm()
    return float((y.T @ x).norm() ** 2 / sizes) if sizes > 0 else 0.0


def best_score(similar, count):
    sets = itertools.combinations(range(len(similar)), count)
    return max(similar[:, list(medoids)].max(1).sum() for medoids in sets)


def score(similar, groups):
    """The best that medoids within these groups give."""
    total = 0.0
    for group in set(groups):
        members = np.flatnonzero(groups == group)
        total += similar[np.ix_(members, members)].sum(0).max()
    return total


@pytest.mark.parametrize(("count", "blocks"), list(itertools.product((2, 3), (5, 7, 8))))
def test_groups_are_those_of_brute_force(count, blocks) -> None:
    random = np.random.default_rng(count * blocks)
    places = random.normal(size=(blocks, 3)) + 3 * random.integers(0, count, (blocks, 1))
    similar = 2 / (1 + ((places[:, None] - places[None]) ** 2).sum(-1))
    groups = medoid_groups(similar, count, random)
    assert score(similar, groups) == pytest.approx(best_score(similar, count), abs=1e-9)
    assert len(set(groups)) == count


def test_more_groups_than_blocks_leave_each_alone_and_none_is_empty() -> None:
    random = np.random.default_rng(0)
    assert len(set(medoid_groups(np.eye(4) * 2, 9, random))) == 4
    alike = np.full((26, 26), 2.0)
    for _ in range(12):
        assert len(set(medoid_groups(alike, 4, random))) == 4
