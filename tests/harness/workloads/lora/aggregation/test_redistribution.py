"""The best adapter of a rank, by what Eckart and Young say it misses."""

import pytest
import torch

from harness.workloads.lora.aggregation.adapters import rank_of
from harness.workloads.lora.aggregation.redistribution import decomposed


@pytest.fixture
def update():
    return {"w": torch.randn(6, 5, generator=torch.Generator().manual_seed(1))}


def test_at_full_rank_nothing_is_lost(update):
    (a, b) = decomposed(update, 5, 2.0)["w"]
    assert torch.allclose(2.0 * b @ a, update["w"], atol=1e-5)


def test_a_smaller_rank_misses_exactly_the_smaller_singular_values(update):
    adapter = decomposed(update, 2, 1.0)
    assert rank_of(adapter) == 2
    missed = (update["w"] - adapter["w"].b @ adapter["w"].a).norm()
    values = torch.linalg.svdvals(update["w"])
    assert float(missed) == pytest.approx(float(values[2:].norm()), rel=1e-5)


def test_first_rows_are_the_best_adapter_of_their_rank(update):
    """What a weaker client gets of it is what it would get alone."""
    whole, small = decomposed(update, 4, 1.0)["w"], decomposed(update, 2, 1.0)["w"]
    assert torch.allclose(whole.b[:, :2] @ whole.a[:2], small.b @ small.a, atol=1e-5)


def test_an_idle_round_shrinks_singular_values(update):
    """Ranks 4, 2, 1 with shares 0.5, 0.3, 0.2: value i by P = 1, 0.8, 0.5, 0.5."""
    back = sum(
        share * (f.b @ f.a)
        for share, rank in ((0.5, 4), (0.3, 2), (0.2, 1))
        for f in (decomposed(update, rank, 1.0)["w"],)
    )
    before, after = torch.linalg.svdvals(update["w"]), torch.linalg.svdvals(back)
    wanted = before[:4] * torch.tensor([1.0, 0.8, 0.5, 0.5])
    assert torch.allclose(after[:4], wanted.sort(descending=True).values, rtol=1e-4)
