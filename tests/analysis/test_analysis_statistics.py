"""The statistics agree with printed tables, closed forms and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from analysis.statistics import (
    Interval,
    bca_interval,
    holm,
    log_ratio_interval,
    mean_statistic,
    paired_log_ratios,
    percentile_interval,
    sign_flip_p,
    t_cdf,
    t_half_width,
    t_quantile,
)


@pytest.mark.parametrize(
    ("df", "printed"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (19, 2.093),
     (30, 2.042), (120, 1.980)],
)  # fmt: skip
def test_t_quantile_matches_the_printed_table(df, printed):
    """The 97.5 % quantiles are those of any printed t table, to its three decimals."""
    assert t_quantile(0.975, df) == pytest.approx(printed, abs=5e-4)


def test_t_cdf_has_its_closed_forms():
    """One degree of freedom is Cauchy; two have x / (2 sqrt(2 + x²)) + 1/2."""
    for x in (0.1, 1.0, 7.5):
        assert t_cdf(x, 1) == pytest.approx(0.5 + math.atan(x) / math.pi)
        assert t_cdf(x, 2) == pytest.approx(0.5 + x / (2 * math.sqrt(2 + x * x)))


@pytest.mark.parametrize(("probability", "df"), [(0.5, 3), (1.0, 3), (0.975, 0)])
def test_t_quantile_refuses_what_it_cannot_answer(probability, df):
    """A probability outside (0.5, 1) or no degree of freedom is an error, not a number."""
    with pytest.raises(ValueError, match="no t quantile"):
        t_quantile(probability, df)


def test_half_width_of_three_values():
    """For 1, 2, 3 the half-width is 4.3027 × 1 / √3; a missing value does not count."""
    assert t_half_width([1.0, 2.0, 3.0, math.nan]) == pytest.approx(4.302653 / math.sqrt(3))


def test_one_value_has_no_spread():
    """The spread of a single seed is not available, never 0."""
    rng = np.random.default_rng(0)
    assert t_half_width([5.0]) is None
    assert percentile_interval([5.0], mean_statistic, rng) is None
    assert bca_interval([5.0], mean_statistic, rng) is None
    assert log_ratio_interval([0.1], rng) is None


def test_pairs_are_by_seed():
    """Only seeds that both have count, and neither order nor a missing or zero value matters."""
    values = {2: 4.0, 0: 1.0, 3: math.nan, 4: 0.0, 9: 7.0}
    reference = {0: 2.0, 2: 2.0, 3: 1.0, 4: 1.0}
    assert paired_log_ratios(values, reference).tolist() == [math.log(0.5), math.log(2.0)]


def test_percentile_bootstrap_of_two_values_is_known():
    """Means of resamples of {0, 1} are 0, ½, 1 with odds 1:2:1, so 95 % of them span 0 to 1."""
    interval = percentile_interval([0.0, 1.0], mean_statistic, np.random.default_rng(3))
    assert interval == Interval(0.0, 1.0)


def test_percentile_bootstrap_agrees_with_all_resamples():
    """With many draws the interval is that of all n^n resamples."""
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    means = [sum(pick) / 5 for pick in itertools.product(values, repeat=5)]
    low, high = np.quantile(means, [0.025, 0.975])
    interval = percentile_interval(
        values, mean_statistic, np.random.default_rng(1), resamples=40_000
    )
    assert interval.low == pytest.approx(low, abs=0.25)
    assert interval.high == pytest.approx(high, abs=0.25)


def test_bca_equals_percentile_for_symmetric_data():
    """Without skew neither correction has anything to correct."""
    values = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
    plain = percentile_interval(values, mean_statistic, np.random.default_rng(2), resamples=20_000)
    bca = bca_interval(values, mean_statistic, np.random.default_rng(2), resamples=20_000)
    assert bca.low == pytest.approx(plain.low, abs=0.08)
    assert bca.high == pytest.approx(plain.high, abs=0.08)


def test_bca_follows_its_formula_on_skewed_data():
    """The levels are those of Efron's formula, computed here from all n^n resamples."""
    values = np.array([0.1, 0.2, 0.4, 0.9, 3.0])
    means = np.array([sum(pick) / 5 for pick in itertools.product(values, repeat=5)])
    observed = values.mean()
    share = (means < observed - 1e-12).mean() + (np.abs(means - observed) <= 1e-12).mean() / 2
    # For the mean the acceleration is the skewness sum over 6 (sum of squares)^1.5.
    centred = values - observed
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    from statistics import NormalDist  # noqa: PLC0415

    normal = NormalDist()
    bias = normal.inv_cdf(share)
    expected = []
    for z in (-1.959964, 1.959964):
        level = normal.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
        expected.append(np.quantile(means, level))
    found = bca_interval(values, mean_statistic, np.random.default_rng(5), resamples=60_000)
    assert found.low == pytest.approx(expected[0], abs=0.03)
    assert found.high == pytest.approx(expected[1], abs=0.06)


def test_equal_seeds_give_equal_intervals():
    """The generator passed in is the only source of chance."""
    values = [0.3, 0.1, 0.7, 0.2, 0.9, 0.4]
    first = bca_interval(values, mean_statistic, np.random.default_rng(11))
    again = bca_interval(values, mean_statistic, np.random.default_rng(11))
    other = bca_interval(values, mean_statistic, np.random.default_rng(12))
    assert first == again
    assert first != other


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


def test_ratio_interval_of_few_pairs_is_the_t_interval_of_the_logarithms():
    """For log-ratios -1, 0, 1 the interval is exp(∓4.3027 / √3)."""
    interval = log_ratio_interval([-1.0, 0.0, 1.0], np.random.default_rng(0))
    assert interval.high == pytest.approx(math.exp(4.302653 / math.sqrt(3)), rel=1e-6)
    assert interval.low == pytest.approx(math.exp(-4.302653 / math.sqrt(3)), rel=1e-6)


SPATIAL_A = (48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41,
             24, 26, 30, 41)  # fmt: skip
"""Spatial perception of 26 children: Efron and Tibshirani, Introduction to the Bootstrap, 14.1."""


def test_bca_gives_the_published_interval():
    """Variance of the spatial data: 171.5, BCa interval of 90 %: 115.8 to 259.6 (table 14.2)."""
    data = [float(value) for value in SPATIAL_A]
    assert np.var(data) == pytest.approx(171.5, abs=0.05)
    found = bca_interval(
        data, lambda a: np.asarray(a.var(axis=-1)), np.random.default_rng(1), 0.90, 20_000
    )
    assert found.low == pytest.approx(115.8, abs=4)
    assert found.high == pytest.approx(259.6, abs=6)


DARWIN = (49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)
"""Cross- minus self-fertilised maize, eighths of an inch: Fisher, The Design of Experiments, 21."""


def test_sign_flip_gives_fishers_count_for_darwins_maize():
    """863 of 32,768 sign patterns reach the sum of 314 or more, and as many minus 314 or less."""
    p_value = sign_flip_p([float(value) for value in DARWIN], np.random.default_rng(0))
    assert p_value == pytest.approx(2 * 863 / 2**15)
