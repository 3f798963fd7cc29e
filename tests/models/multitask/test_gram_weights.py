"""Check weights from inner products against torchjd, scipy, closed forms and grids."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.multitask.gram import gram
from models.multitask.gram_weights import (
    RULES,
    conflict_averse,
    fair,
    gram_weights,
    simplex_minimum,
)

NUMBERS = {"cagrad": 0.4, "fairgrad": 1.5}


def _rows(n: int, seed: int, size: int = 30) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(n, size)) * 10.0 ** random.uniform(-2, 1, (n, 1))


def _gram(n: int, seed: int, size: int = 30) -> np.ndarray:
    rows = _rows(n, seed, size)
    return rows @ rows.T


def _simplex(n: int, parts: int) -> np.ndarray:
    axes = np.meshgrid(*[np.arange(parts + 1)] * (n - 1), indexing="ij")
    grid = np.stack([axis.ravel() for axis in axes], 1)
    grid = grid[grid.sum(1) <= parts]
    return np.hstack([grid, parts - grid.sum(1, keepdims=True)]) / parts


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_rules_are_those_of_torchjd(n: int) -> None:
    """Aligned-MTL sums where torchjd takes the mean; IMTL-G and MGDA are n times as long here.

    torchjd's MGDA stops after few steps of Frank and Wolfe: ours is no longer, and nearly as long.
    """
    from torchjd.aggregation import IMTLG, MGDA, AlignedMTL  # noqa: PLC0415

    rows = torch.from_numpy(_rows(n, n))
    products = (rows @ rows.T).numpy()
    theirs = {name: rule.gramian_weighting(torch.from_numpy(products)).numpy()
              for name, rule in (("aligned-mtl", AlignedMTL()), ("imtl-g", IMTLG()))}  # fmt: skip

    for name, wanted in theirs.items():
        assert gram_weights(name, products, 0.0) == pytest.approx(n * wanted, rel=1e-6), name
    ours = gram_weights("mgda", products, 0.0) / n
    slow = MGDA(epsilon=1e-9, max_iters=20000).gramian_weighting(torch.from_numpy(products)).numpy()
    assert ours @ products @ ours <= slow @ products @ slow * (1 + 1e-9)
    assert ours @ products @ ours >= slow @ products @ slow * 0.99


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fairgrad_is_that_of_torchjd(alpha: float) -> None:
    """Theirs is a bounded least squares from far away, so it agrees on small, even gradients."""
    from torchjd.aggregation import FairGrad  # noqa: PLC0415

    rows = np.random.default_rng(3).normal(size=(4, 30)) / 5.0
    products = rows @ rows.T
    theirs = FairGrad(alpha).gramian_weighting(torch.from_numpy(products)).numpy()

    assert fair(products, alpha) == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("n", range(2, 10))
@pytest.mark.parametrize("alpha", [0.1, 1.0, 2.0, 19.0])
def test_fair_weights_solve_their_equation(n: int, alpha: float) -> None:
    """(G·w)_i = w_i^(−1/α) with w > 0, for norms that differ a thousandfold, up to the ridge."""
    products = _gram(n, 7 * n)

    w = fair(products, alpha)

    assert (w > 0).all()
    error = np.abs(products @ w - w ** (-1.0 / alpha))
    assert (error <= 1e-8 * (np.abs(products) @ w + np.trace(products) * w)).all()


def test_nash_weights_follow_the_scale_of_gradients_by_its_root() -> None:
    """G·w = 1/w for G over its Frobenius norm: orthonormal gradients weigh n^(1/4)."""
    assert gram_weights("nash-mtl", np.eye(4), 0.0) == pytest.approx([4**0.25] * 4)
    products = _gram(3, 1)
    w = gram_weights("nash-mtl", products, 0.0)
    assert products @ w / np.linalg.norm(products) == pytest.approx(1.0 / w, rel=1e-8)


@pytest.mark.parametrize(("n", "parts"), [(2, 4000), (3, 300)])
@pytest.mark.parametrize("seed", range(4))
def test_no_point_of_a_grid_is_better(n: int, parts: int, seed: int) -> None:
    """MGDA and CAGrad's problem: the objective at our weights is that of the best grid point."""
    products, c = _gram(n, seed, 4), 0.5
    grid = _simplex(n, parts)
    shortest = np.einsum("ki,ij,kj->k", grid, products, grid)
    mean = products.mean(1)
    radius = c * np.sqrt(mean.mean())

    own = gram_weights("mgda", products, 0.0) / n
    assert own @ products @ own <= shortest.min() * (1 + 1e-9) + 1e-15

    step = conflict_averse(products, c) * (1 + c * c) / n - 1.0 / n
    w = step / step.sum()
    ours = w @ mean + radius * np.sqrt(w @ products @ w)
    best = (grid @ mean + radius * np.sqrt(shortest)).min()
    assert ours <= best + 1e-9 * abs(best)
    assert (step @ products @ step) == pytest.approx(radius**2, rel=1e-6)  # c·‖g_0‖ away from it


@pytest.mark.parametrize("n", [2, 4, 6, 9])
def test_conflict_averse_is_what_scipy_finds(n: int) -> None:
    """The same problem by sequential quadratic programming from an even start."""
    from scipy.optimize import minimize  # noqa: PLC0415

    rows = np.random.default_rng(n).normal(size=(n, 20))
    products, c = rows @ rows.T, 0.4
    mean = products.mean(1)
    radius = c * np.sqrt(mean.mean())

    def objective(w):
        return w @ mean + radius * np.sqrt(w @ products @ w)

    theirs = minimize(objective, np.full(n, 1 / n), bounds=[(0, 1)] * n, tol=1e-14,
                      constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
                      options={"maxiter": 500}).x  # fmt: skip
    step = conflict_averse(products, c) * (1 + c * c) / n - 1.0 / n

    assert objective(step / step.sum()) <= objective(theirs) + 1e-7 * radius


@given(st.integers(2, 9), st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_quadratic_on_the_simplex_meets_its_conditions(n, seed, singular) -> None:
    """Gradients of what has weight are equal and least: the conditions of Karush, Kuhn, Tucker."""
    products = _gram(n, seed, 2 if singular else 12)
    pull = np.random.default_rng(seed).normal(size=n) * np.trace(products) / n
    w = simplex_minimum(products, pull)
    slope = products @ w + pull

    assert w.sum() == pytest.approx(1.0)
    assert (w >= 0).all()
    assert float(w @ slope) <= slope.min() + 1e-5 * np.abs(slope).max()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("n", range(1, 10))
def test_odd_matrices_give_finite_weights(name: str, n: int) -> None:
    """Alike, opposed, missing and tiny gradients: no weight is infinite, none without gradient."""
    one = np.random.default_rng(0).normal(size=30)
    rows = np.stack([one * (-1) ** i for i in range(n)])
    missing = _rows(n, 5)
    missing[0] = 0.0
    for kind in (np.tile(one, (n, 1)), rows, missing, 1e-12 * _rows(n, 2), np.zeros((n, 3))):
        weights = gram_weights(name, kind @ kind.T, NUMBERS.get(name, 1.0))
        assert np.isfinite(weights).all(), name
        assert weights[(kind == 0).all(1)].tolist() == [0.0] * int((kind == 0).all(1).sum())


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_diverged_gradients_raise_nothing(name: str, odd: float) -> None:
    """The loss of the next step is no number either, and the run says at which client."""
    products = np.full((3, 3), odd)

    assert gram_weights(name, products, 1.0).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", RULES)
def test_a_single_task_is_trained_plainly(name: str) -> None:
    assert gram_weights(name, np.array([[7.0]]), NUMBERS.get(name, 1.0)).tolist() == [1.0]


@pytest.mark.parametrize("name", ["aligned-mtl", "imtl-g", "mgda"])
def test_even_gradients_are_added_as_ever(name: str) -> None:
    """Orthogonal gradients of one length: weights of 1, the plain sum."""
    assert gram_weights(name, 3.0 * np.eye(5), 0.0) == pytest.approx(np.ones(5))


def test_conflict_averse_goes_to_the_mean_as_c_goes_to_nothing() -> None:
    assert conflict_averse(_gram(4, 1), 0.0) == pytest.approx(np.ones(4))


@pytest.mark.parametrize("tiny", [False, True])
def test_rounding_of_gradients_is_no_direction_of_theirs(tiny: bool) -> None:
    """Collinear gradients leave an eigenvalue of rounding, by which Aligned-MTL would be scaled.

    So does one of 1/100,000 of the others' length, which single precision does not tell from it.
    """
    from torchjd.aggregation import AlignedMTL  # noqa: PLC0415

    rows = torch.randn(3, 100_000, generator=torch.Generator().manual_seed(0))
    rows[2] = rows[2] * 1e-5 if tiny else rows[0] / 3
    products = gram(rows)
    theirs = AlignedMTL().gramian_weighting(torch.from_numpy(products).float()).numpy()
    assert gram_weights("aligned-mtl", products, 0.0) == pytest.approx(3 * theirs, abs=1e-3)


def test_inner_products_are_added_in_double_precision() -> None:
    rows = torch.randn(3, (1 << 20) + 7, generator=torch.Generator().manual_seed(1))
    exact = rows.double() @ rows.double().T
    assert gram(rows) == pytest.approx(exact.numpy(), rel=1e-12)


def test_projections_are_alike_however_unlike_the_lengths() -> None:
    rows = np.random.default_rng(3).normal(size=(4, 40)) * np.array([[1.0], [1e-8], [10.0], [1e5]])
    products = rows @ rows.T
    along = products @ gram_weights("imtl-g", products, 0.0) / np.sqrt(products.diagonal())
    assert along == pytest.approx(np.full(4, along[0]), rel=1e-6)


def test_where_no_step_improves_every_task_cagrad_follows_the_mean() -> None:
    """Its steps stay within c of the mean gradient, so it is not 0; published: the same."""
    rows = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    assert conflict_averse(rows @ rows.T, 0.4) == pytest.approx(np.full(3, 1 / 1.16))
