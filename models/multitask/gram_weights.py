"""Weigh n task gradients by what their inner products say: problems of n numbers, in float64.

`gram[i, j]` is ⟨g_i, g_j⟩. Every rule here returns the weights w of the sum Σ w_i·g_i that a step
follows. Sources: MGDA (Désidéri 2012; Sener and Koltun, NeurIPS 2018), CAGrad (Liu et al., NeurIPS
2021), IMTL-G (Liu et al., ICLR 2021), Nash-MTL (Navon et al., ICML 2022), Aligned-MTL (Senushkin et
al., CVPR 2023), FairGrad (Ban and Ji, ICML 2024). Rules whose weights sum to 1 in their papers are
given n times as long here, as a plain step follows the sum and not the mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

Gram = np.ndarray
Weights = np.ndarray

RIDGE = 1e-12
SIMPLEX_RIDGE = 1e-10
"""Shares of the mean squared norm by which singular matrices are made regular."""

PRECISION = float(np.finfo(np.float32).eps)
"""What gradients are known to: eigenvalues below so great a share of the greatest are rounding."""

STEPS = 100
"""Most steps of any solver; each ends after a few for nine tasks."""


def least_norm(gram: Gram, _: float = 0.0) -> Weights:
    """Return n times the weights of the shortest convex combination (MGDA)."""
    return len(gram) * simplex_minimum(gram, np.zeros(len(gram)))


def conflict_averse(gram: Gram, c: float) -> Weights:
    """Return CAGrad's weights, rescaled by 1/(1 + c²) as in the published code.

    The step is g_0 + c·‖g_0‖·g_w/‖g_w‖ with g_0 the mean gradient and w on the simplex least in
    ⟨g_w, g_0⟩ + c·‖g_0‖·‖g_w‖. With t = ‖g_w‖ that is convex in (w, t): a root in t is sought, and
    for each t w is the minimum of a quadratic. Where g_w vanishes nothing improves every task; the
    step is then that of g_0 alone, as in the published code, and the mean loss goes on falling.
    """
    n = len(gram)
    mean = gram.mean(axis=1)
    radius = c * math.sqrt(max(float(mean.mean()), 0.0))
    even = np.full(n, 1.0 / n)
    if radius <= 0.0:
        return n * even
    w = _at_own_length(gram, mean, radius)
    length = math.sqrt(max(float(w @ gram @ w), 0.0))
    if length <= 1e-8 * math.sqrt(float(np.trace(gram))):
        return n * even / (1.0 + c * c)
    return np.asarray(n * (even + radius / length * w) / (1.0 + c * c))


def _at_own_length(gram: Gram, mean: Weights, radius: float) -> Weights:
    """Return the w for t that has the length t, by bisection with secants (Illinois)."""

    def minimum(t: float) -> tuple[Weights, float]:
        w = simplex_minimum(gram * (radius / t), mean)
        return w, math.sqrt(max(float(w @ gram @ w), 0.0)) - t

    high = math.sqrt(float(gram.diagonal().max()))
    low = 1e-10 * high
    w, at_low = minimum(low)
    if at_low <= 0.0:
        return w
    at_high = minimum(high)[1]
    for _ in range(STEPS):
        t = (low * at_high - high * at_low) / (at_high - at_low) if at_high < at_low else high
        w, value = minimum(t)
        if abs(value) <= 1e-12 * high or high - low <= 1e-13 * high:
            break
        if value > 0.0:
            low, at_low, at_high = t, value, at_high / 2.0
        else:
            high, at_high, at_low = t, value, at_low / 2.0
    return w


def aligned(gram: Gram, _: float = 0.0) -> Weights:
    """Return Aligned-MTL's weights: B·1 with B = √λ_min·V·Λ^(−1/2)·Vᵀ over λ that are not 0."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > values.max() * len(gram) * PRECISION
    values, vectors = values[kept], vectors[:, kept]
    return np.asarray((vectors * np.sqrt(values.min() / values)) @ vectors.sum(axis=0))


def equal_projections(gram: Gram, _: float = 0.0) -> Weights:
    """Return n times IMTL-G's weights: Σ w_i·g_i projects alike on every g_i/‖g_i‖, Σ w_i = 1.

    With u_i = w_i·‖g_i‖ and the cosines C of the gradients that is C·u = constant, which is as well
    posed however unlike the lengths are. Singular matrices by their pseudo-inverse. Where the
    weights cannot sum to 1 they are 0.
    """
    lengths = np.sqrt(gram.diagonal())
    cosines = gram / np.outer(lengths, lengths)
    inverse = np.linalg.pinv(cosines, rcond=len(gram) * PRECISION, hermitian=True)
    w = inverse.sum(axis=1) / lengths
    total, size = float(w.sum()), float(np.abs(w).sum())
    return np.zeros(len(gram)) if abs(total) <= 1e-12 * size else len(gram) * w / total


def fair(gram: Gram, alpha: float) -> Weights:
    """Return FairGrad's weights: w > 0 with (G·w)_i = w_i^(−1/α).

    They are the minimum of ½wᵀGw − Σ φ(w_i), φ' = w^(−1/α), which is strictly convex: Newton steps
    in log w, each no longer than the convex function falls. Published: bounded least squares.
    """
    n = len(gram)
    size = float(np.trace(gram)) / n
    unit = gram / size + RIDGE * np.eye(n)
    power = 1.0 / alpha
    w = unit.diagonal() ** (-1.0 / (1.0 + power))
    for _ in range(STEPS):
        slope = unit @ w - w**-power
        curve = unit + np.diag(power * w ** (-power - 1.0))
        step = -np.linalg.solve(curve, slope)
        if float(np.abs(step / w).max()) <= 1e-13:
            break
        w = _descended(unit, power, w, step)
    return np.asarray(w * size ** (-1.0 / (1.0 + power)))


def _descended(unit: Gram, power: float, w: Weights, step: Weights) -> Weights:
    """Return w moved along a Newton step, halved until w stays positive and the slope not uphill.

    A convex function falls along a line until its slope there turns: no values are compared, whose
    differences drown in rounding near the minimum.
    """
    share = 1.0
    for _ in range(60):
        moved = w + share * step
        if float((moved / w).min()) > 0.05:
            slope = float((unit @ moved - moved**-power) @ step)
            start = float((unit @ w - w**-power) @ step)
            if slope <= -0.9 * start:
                return np.asarray(moved)
        share /= 2.0
    return w


def bargained(gram: Gram, _: float = 0.0) -> Weights:
    """Return Nash-MTL's weights: (G·w)_i = 1/w_i for G over its Frobenius norm, as published."""
    return fair(gram / float(np.linalg.norm(gram)), 1.0)


def simplex_minimum(matrix: Gram, linear: Weights) -> Weights:
    """Return the w ≥ 0, Σ w = 1 that is least in ½wᵀMw + linearᵀw, for M positive semidefinite.

    Primal active set: exact after finitely many steps once M is regular, which a ridge makes it.
    """
    n = len(matrix)
    scale = max(float(np.trace(matrix)) / n, float(np.abs(linear).max()), 1e-300)
    regular = matrix / scale + SIMPLEX_RIDGE * np.eye(n)
    pull = linear / scale
    w = np.zeros(n)
    w[int(np.argmin(regular.diagonal() / 2.0 + pull))] = 1.0
    support = w > 0
    for _ in range(STEPS):
        target = _on_support(regular, pull, support)
        if (target >= 0.0).all():
            w = target
            slope = regular @ w + pull
            slope = slope - slope[support].mean()
            entering = int(np.argmin(np.where(support, np.inf, slope)))
            if support.all() or slope[entering] >= -1e-13:
                break
            support[entering] = True
        else:
            w, support = _to_the_wall(w, target, support)
    return np.asarray(np.maximum(w, 0.0) / np.maximum(w, 0.0).sum())


def _on_support(regular: Gram, pull: Weights, support: np.ndarray) -> Weights:
    """Return the minimum over weights that sum to 1 and vanish off the support."""
    inside = np.flatnonzero(support)
    part = regular[np.ix_(inside, inside)]
    both = np.linalg.solve(part, np.stack([np.ones(len(inside)), pull[inside]], axis=1))
    level = (1.0 + both[:, 1].sum()) / both[:, 0].sum()
    found = np.zeros(len(regular))
    found[inside] = level * both[:, 0] - both[:, 1]
    return found


def _to_the_wall(w: Weights, target: Weights, support: np.ndarray) -> tuple[Weights, np.ndarray]:
    """Go from w towards a target until a weight becomes 0, which leaves the support."""
    falling = support & (target < 0.0)
    share = np.full(len(w), np.inf)
    share[falling] = w[falling] / (w[falling] - target[falling])
    first = int(np.argmin(share))
    moved = w + float(share[first]) * (target - w)
    moved[first] = 0.0
    kept = support.copy()
    kept[first] = False
    return np.where(kept, np.maximum(moved, 0.0), 0.0), kept


RULES: Mapping[str, Callable[[Gram, float], Weights]] = {
    "cagrad": conflict_averse,
    "aligned-mtl": aligned,
    "nash-mtl": bargained,
    "fairgrad": fair,
    "imtl-g": equal_projections,
    "mgda": least_norm,
}
"""Each rule by name; the number is c of CAGrad or α of FairGrad, the others have none."""

WEIGH_DECODERS = ("nash-mtl", "fairgrad")
"""Rules whose published code weighs the losses, and so the decoders too."""


def gram_weights(rule: str, gram: Gram, number: float) -> Weights:
    """Return the weights of a rule; tasks without gradient get 0, a single task gets 1.

    Training that has diverged has no finite inner products: all get 1, and its loss says so.
    """
    exact = np.asarray(gram, dtype=np.float64)
    if not np.isfinite(exact).all():
        return np.ones(len(exact))
    used = np.flatnonzero(exact.diagonal() > 0.0)
    weights = np.zeros(len(exact))
    if len(used) > 1:
        weights[used] = RULES[rule](exact[np.ix_(used, used)], number)
    else:
        weights[used] = 1.0
    return weights
