"""Small statistics that survive review: an exact test of paired differences, and its correction.

Pairing by seed and the interval of a ratio are in `harness.evidence.paired`, which `compare` and
the screen use too. Randomness is passed in.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MIN_PAIRS_FOR_TEST = 6
"""With n pairs the two-sided sign-flip test cannot fall below 2 / 2**n: 0.0625 for five."""

EXACT_LIMIT = 16
"""Up to this many pairs all 2**n signs are tried; beyond it they are drawn."""


def finite(values: Sequence[float]) -> NDArray[np.float64]:
    """Return the finite values as an array."""
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


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
