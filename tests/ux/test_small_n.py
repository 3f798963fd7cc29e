"""Few seeds are never made to look like many (no. 10)."""

import re

import pytest

from analysis.core.verdict import cell_sentences
from harness.evidence.yardstick import Yardstick

LOSS = Yardstick("total_loss", "lower", "independent")


def said(data, quick=False):
    """The sentences on rows of a run of several tasks."""
    return cell_sentences(data, LOSS, quick)


def rows(seeds: int) -> list[dict[str, object]]:
    """Return cells in which MAS takes half of independent, give or take 1 % a seed."""
    costs = {"independent": 100.0, "mas:splits=2": 50.0}
    return [
        {
            "method": method, "seed": seed, "status": "done", "device": "x86",
            "host_matches_device": True, "time_s": cost * (1 + 0.01 * seed * (cost < 99)),
            "total_loss": 4.0, "energy_j": None, "energy_model_j": None,
        }
        for seed in range(seeds)
        for method, cost in costs.items()
    ]  # fmt: skip


def test_one_seed_has_no_spread() -> None:
    """No range, no ±, no p; and the words for that."""
    words = " ".join(said(rows(1)))
    assert not re.search(r"±|\d–\d|p =|\*", words)
    assert "One seed: no interval can be given" in words


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_few_seeds_have_a_range_and_no_significance(seeds: int) -> None:
    """A range and its n are given; p, stars and the word are withheld, and that is said."""
    words = " ".join(said(rows(seeds)))
    assert re.search(r"0\.5\d?×.*\(0\.4\d–0\.\d+\)|\(0\.5\d–0\.\d+\)|\(0\.\d+–0\.\d+\)", words)
    assert f"over {seeds} paired seeds" in words
    assert not re.search(r"p =|\*", words)
    assert "no difference is called significant" in words


def test_six_seeds_may_be_tested() -> None:
    """2 of 2**6 sign patterns are 0.031: the first number of pairs that can say something."""
    assert "p = 0.031" in " ".join(said(rows(6)))
