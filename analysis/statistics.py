"""Small statistics that survive review: pairing by seed, intervals, and an exact test.

Runs are few and paired: every method starts from the same seeds. So ratios are taken within a
seed, on the logarithm, and an interval is never given for a single seed. Randomness is passed in.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

MIN_PAIRS_FOR_TEST = 6
"""With n pairs the two-sided sign-flip test cannot fall below 2 / 2**n: 0.0625 for five."""

EXACT_LIMIT = 16
"""Up to this many pairs all 2**n signs are tried; beyond it they are drawn."""

LARGEST_LOG = 709.0
"""Logarithm of about the greatest float; a loss that has diverged may be beyond."""

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps values along the last axis to one number each."""


@dataclass(frozen=True)
class Interval:
    """Hold a lower and an upper bound of the same unit as the values."""

    low: float
    high: float


def finite(values: Sequence[float]) -> NDArray[np.float64]:
    """Return the finite values as an array."""
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def t_cdf(x: float, df: int) -> float:
    """Return P(T <= x) of Student's t with `df` whole degrees of freedom.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    theta = math.atan(x / math.sqrt(df))
    cosine = math.cos(theta)
    term = cosine if df % 2 else 1.0
    total = 0.0
    for k in range(2 if df % 2 == 0 else 3, df + 1, 2):
        total += term
        term *= cosine * cosine * (k - 1) / k
    area = (
        math.sin(theta) * total if df % 2 == 0 else (theta + math.sin(theta) * total) * 2 / math.pi
    )
    return 0.5 + 0.5 * area


@lru_cache(maxsize=256)
def t_quantile(probability: float, df: int) -> float:
    """Return the quantile of Student's t by bisection of `t_cdf`.

    Raises:
        ValueError: if the probability is not inside (0.5, 1) or df < 1.
    """
    if not 0.5 < probability < 1 or df < 1:
        raise ValueError(f"no t quantile for probability {probability}, {df} degrees of freedom")
    low, high = 0.0, 1.0
    while t_cdf(high, df) < probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, df) < probability else (low, middle)
    return (low + high) / 2


def t_half_width(values: Sequence[float], confidence: float = 0.95) -> float | None:
    """Return the half-width of the t interval of the mean, or None for fewer than two values."""
    array = finite(values)
    if len(array) < 2:
        return None
    quantile = t_quantile(0.5 + confidence / 2, len(array) - 1)
    return float(quantile * array.std(ddof=1) / math.sqrt(len(array)))


def paired_log_ratios(
    values: Mapping[int, float], reference: Mapping[int, float]
) -> NDArray[np.float64]:
    """Return log(value / reference) for every seed both have, ordered by seed.

    Seeds whose value is missing, not finite or not positive have no ratio and are left out.
    """
    seeds = sorted(set(values) & set(reference))
    pairs = [(values[seed], reference[seed]) for seed in seeds]
    return np.array([math.log(a / b) for a, b in pairs if _positive(a) and _positive(b)])


def percentile_interval(
    values: Sequence[float],
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 9999,
) -> Interval | None:
    """Return the percentile bootstrap interval, or None for fewer than two values."""
    array = finite(values)
    if len(array) < 2:
        return None
    replicas = _replicas(array, statistic, rng, resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicas, [tail, 1 - tail])
    return Interval(float(low), float(high))


def bca_interval(
    values: Sequence[float],
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 9999,
) -> Interval | None:
    """Return the bias-corrected and accelerated bootstrap interval; None for fewer than two values.

    Source: Efron, "Better bootstrap confidence intervals", JASA 82 (1987).
    """
    array = finite(values)
    if len(array) < 2:
        return None
    replicas = _replicas(array, statistic, rng, resamples)
    observed = float(statistic(array))
    normal = NormalDist()
    below = np.mean(replicas < observed) + np.mean(replicas == observed) / 2
    bias = normal.inv_cdf(float(np.clip(below, 1 / (2 * resamples), 1 - 1 / (2 * resamples))))
    acceleration = _acceleration(array, statistic)
    tail = (1 - confidence) / 2
    levels = []
    for probability in (tail, 1 - tail):
        shifted = bias + normal.inv_cdf(probability)
        levels.append(normal.cdf(bias + shifted / (1 - acceleration * shifted)))
    low, high = np.quantile(replicas, levels)
    return Interval(float(low), float(high))


def sign_flip_p(differences: Sequence[float], rng: np.random.Generator) -> float | None:
    """Return the two-sided p of the paired sign-flip test on the mean; None without values.

    All sign patterns are tried up to `EXACT_LIMIT` pairs; beyond it 99 999 are drawn, and the
    observed one is counted among them so that p is never 0.
    """
    array = finite(differences)
    if not len(array):
        return None
    observed = abs(float(array.sum()))
    slack = 1e-12 * float(np.abs(array).sum())
    if len(array) <= EXACT_LIMIT:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(array))))
        return float(np.mean(np.abs(signs @ array) >= observed - slack))
    kept = rng.integers(0, 2, size=(99_999, len(array)), dtype=np.int8).astype(np.float64)
    sums = 2 * (kept @ array) - array.sum()  # 1 keeps a sign, 0 flips it
    hits = int(np.sum(np.abs(sums) >= observed - slack))
    return (hits + 1) / 100_000


def least_p(pairs: int) -> float:
    """Return the least p that the two-sided sign-flip test can give: all pairs of one sign."""
    return math.ldexp(2.0, -pairs)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p values in the order given (Scand. J. Statist. 6, 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def mean_statistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the arithmetic mean along the last axis, the statistic used for log-ratios."""
    return np.asarray(values.mean(axis=-1))


def log_ratio_interval(log_ratios: Sequence[float], rng: np.random.Generator) -> Interval | None:
    """Return the 95 % interval of the geometric-mean ratio, or None for a single pair.

    Below six pairs a bootstrap is too narrow to be honest, so Student's t on the logarithms is
    used there and BCa from six pairs on.
    """
    array = finite(log_ratios)
    if len(array) < MIN_PAIRS_FOR_TEST:
        half = t_half_width(array.tolist())
        if half is None:
            return None
        centre = float(array.mean())
        return Interval(ratio_of(centre - half), ratio_of(centre + half))
    interval = bca_interval(array.tolist(), mean_statistic, rng)
    return None if interval is None else Interval(ratio_of(interval.low), ratio_of(interval.high))


def ratio_of(logarithm: float) -> float:
    """Return the ratio of a logarithm; what no float can hold becomes the greatest or the least."""
    return math.exp(min(max(logarithm, -LARGEST_LOG), LARGEST_LOG))


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _replicas(
    array: NDArray[np.float64], statistic: Statistic, rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    picks = rng.integers(0, len(array), size=(resamples, len(array)))
    return statistic(array[picks])


def _acceleration(array: NDArray[np.float64], statistic: Statistic) -> float:
    """Return Efron's acceleration from the jackknife; 0 if all values are alike."""
    left_out = np.array([float(statistic(np.delete(array, n))) for n in range(len(array))])
    deviations = left_out.mean() - left_out
    spread = float((deviations**2).sum())
    if spread == 0:
        return 0.0
    return float((deviations**3).sum() / (6 * spread**1.5))
