"""The statistics agree with printed tables, closed forms and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from analysis.core.statistics import holm, sign_flip_p


@pytest.mark.parametrize(("pairs", "smallest"), [(3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_smallest_p_of_the_sign_flip_test(pairs, smallest):
    """If all differences point one way, p is 2 / 2^n exactly."""
    differences = [0.1 * (k + 1) for k in range(pairs)]
    assert sign_flip_p(differences, np.random.default_rng(0)) == smallest


def test_sign_flip_agrees_with_brute_force():
    """The p is the share of sign patterns whose mean is at least as far from 0."""
    differences = [0.5, -0.2, 0.9, 0.4, -0.1, 0.3, 0.8]
    observed = abs(sum(differences))
    patterns = list(itertools.product((1, -1), repeat=7))
    hits = sum(
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= observed - 1e-12
        for signs in patterns
    )
    assert sign_flip_p(differences, np.random.default_rng(0)) == hits / len(patterns)
    assert sign_flip_p([], np.random.default_rng(0)) is None


def test_drawn_sign_flips_come_close_to_the_normal_limit():
    """Beyond sixteen pairs signs are drawn; p is then near the normal approximation and never 0."""
    differences = [1.0] * 12 + [-1.0] * 8
    # P(|binomial difference| >= 4) for 20 fair signs, exactly.
    tail = sum(math.comb(20, k) for k in range(21) if abs(2 * k - 20) >= 4) / 2**20
    assert sign_flip_p(differences, np.random.default_rng(4)) == pytest.approx(tail, abs=0.01)
    assert sign_flip_p([1.0] * 40, np.random.default_rng(4)) > 0


def test_holm_by_hand():
    """0.01, 0.04, 0.03 become 0.03, 0.06, 0.06: times 3, 2, 1, never falling."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


DARWIN = (49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)
"""Cross- minus self-fertilised maize, eighths of an inch: Fisher, The Design of Experiments, 21."""


def test_sign_flip_gives_fishers_count_for_darwins_maize():
    """863 of 32,768 sign patterns reach the sum of 314 or more, and as many minus 314 or less."""
    p_value = sign_flip_p([float(value) for value in DARWIN], np.random.default_rng(0))
    assert p_value == pytest.approx(2 * 863 / 2**15)
