"""Adapters by hand and by dense algebra."""

import numpy as np
import pytest
import torch

from harness.core.errors import UsageError
from harness.workloads.lora.aggregation.adapters import (
    LowRank,
    cut,
    fresh,
    from_tensors,
    largest_rank,
    norm,
    numbers,
    rank_of,
    smaller_numbers,
    to_tensors,
    update_error,
)

SHAPES = {"q": (6, 5), "v": (3, 5)}


def some(rank, seed=0):
    random = torch.Generator().manual_seed(seed)
    return {
        name: LowRank(
            torch.randn(rank, n, generator=random), torch.randn(m, rank, generator=random)
        )
        for name, (m, n) in SHAPES.items()
    }


def dense_of(adapter):
    return {name: b.double() @ a.double() for name, (a, b) in adapter.items()}


def test_a_fresh_adapter_changes_nothing_and_is_drawn_within_its_bound():
    """B is zero; A is uniform in ±1/√n, so its largest number comes near the bound and not over."""
    adapter = fresh({"w": (40, 100)}, 40, np.random.default_rng(3))
    a, b = adapter["w"]
    assert a.shape == (40, 100)
    assert b.shape == (40, 40)
    assert not b.any()
    assert 0.099 < a.abs().max() <= 0.1
    assert a.abs().mean() == pytest.approx(0.05, rel=0.05)


def test_the_same_stream_gives_the_same_adapter():
    one, two = (fresh(SHAPES, 3, np.random.default_rng(7)) for _ in range(2))
    assert all(torch.equal(one[n].a, two[n].a) for n in SHAPES)


@pytest.mark.parametrize("rank", [0, -1, 4, 100_000])
def test_a_rank_that_fits_no_layer_is_refused_with_the_largest(rank):
    """v has three outputs: rank 4 is beyond it, though q could."""
    with pytest.raises(UsageError) as told:
        fresh(SHAPES, rank, np.random.default_rng(0))
    assert "may be 1 to 3" in told.value.remedy
    assert largest_rank(SHAPES) == 3


def test_the_norm_is_that_of_the_dense_products():
    adapter = some(2)
    squares = sum(float(w.square().sum()) for w in dense_of(adapter).values())
    assert norm(adapter) == pytest.approx(squares**0.5, rel=1e-9)


def test_a_cut_is_the_product_of_its_first_rows_and_columns():
    adapter = some(3)
    for name, (a, b) in cut(adapter, 2).items():
        assert torch.equal(b @ a, adapter[name].b[:, :2] @ adapter[name].a[:2])
    assert rank_of(cut(adapter, 2)) == 2


def test_tensors_are_read_back_by_name():
    adapter = some(2)
    back = from_tensors(to_tensors(adapter, "own.1."), "own.1.")
    assert list(back) == list(adapter)
    assert all(torch.equal(back[n].b, adapter[n].b) for n in adapter)
    assert from_tensors(to_tensors(adapter)) != {}
    assert from_tensors(to_tensors(adapter), "own.1.") == {}


def test_published_sizes():
    """TinyLlama, q and v of 22 layers in fp32: rank 16 and the ten published ranks stacked."""
    tiny = {f"{i}.{n}": (m, 2048) for i in range(22) for n, m in (("q", 2048), ("v", 256))}
    assert 4 * numbers(tiny, 16) == 9_011_200
    assert 4 * numbers(tiny, 16, only_b=True) == 3_244_032
    assert 4 * numbers(tiny, sum((64, 32, 16, 16, 8, 8, 4, 4, 4, 4))) == 90_112_000


def test_what_travels_is_the_smaller_of_factors_and_product():
    """6×5: dense has 30 numbers, rank 2 has 22 and rank 3 has 33; 3×5: 15, 16, 24."""
    assert smaller_numbers({"q": (6, 5)}, 2) == 22
    assert smaller_numbers({"q": (6, 5)}, 3) == 30
    assert smaller_numbers(SHAPES, 2) == 22 + 15


def test_the_error_is_relative_to_the_exact_sum():
    """Half of the update is an error of one half; a sum of parts is judged as a whole."""
    adapter, other = some(2), some(2, seed=1)
    exact = [(1.0, adapter)]
    assert update_error([(0.5, {}, adapter)], exact, SHAPES) == pytest.approx(0.5, rel=1e-12)
    assert update_error([(1.0, {}, adapter)], exact, SHAPES) == 0.0
    assert update_error([(1.0, dense_of(adapter), {})], exact, SHAPES) < 1e-12
    both = [(1.0, {}, adapter), (0.25, {}, other)]
    assert update_error(both, [*exact, (0.25, other)], SHAPES) < 1e-12
    assert update_error([], [(1.0, {n: LowRank(a * 0, b) for n, (a, b) in adapter.items()})],
                        SHAPES) == 0.0  # fmt: skip
