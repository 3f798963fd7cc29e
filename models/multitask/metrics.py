"""Measure finished predictions as the literature does, batch by batch in constant memory.

Each accumulator is fed predictions and targets as a loss is; pixels without label (NaN, class id
0) count nowhere. Which task has which measures, with units, is said in `models.multitask.measures`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.multitask.losses import IGNORED_CLASS
from models.multitask.measures import MEASURES
from models.multitask.tasks import SEMANTIC_CLASSES, TASKS

ANGLE_BINS = 18_000
"""Bins of 0.01 degrees from 0 to 180, from which the median angle is read."""

ANGLE_LIMITS_DEG = (11.25, 22.5, 30.0)
RATIO_LIMITS = (1.25, 1.25**2, 1.25**3)


@dataclass(frozen=True)
class DepthScale:
    """Turn a normalised depth into metres: (normalised · scale + offset) · unit_m."""

    offset: float
    scale: float
    unit_m: float


class Accumulator(Protocol):
    """Gather what the measures of one task need."""

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch, shaped as for the loss."""
        ...

    def values(self) -> dict[str, float]:
        """Return the measures by name; empty if no pixel had a label."""
        ...


def accumulator(task: str, depth: DepthScale) -> Accumulator:
    """Return a fresh accumulator of one task's measures."""
    if TASKS[task].loss == "cross-entropy":
        return Classes()
    if task == "d":
        return Depth(depth)
    if task == "n":
        return Directions()
    (measure,) = MEASURES[task]
    return Distance(squared=measure.name == "rmse")


class Classes:
    """Count predicted against true classes over everything seen.

    The best score among the real classes decides; id 0 means that there is no label and is never
    predicted. Scores may be coarser than the ids by a whole factor.
    """

    def __init__(self) -> None:
        self._confusion = torch.zeros(SEMANTIC_CLASSES, SEMANTIC_CLASSES, dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in scores (N, classes, h, w) and ids (N, H, W)."""
        best = prediction[:, IGNORED_CLASS + 1 :].argmax(1) + IGNORED_CLASS + 1
        factor = target.shape[-1] // best.shape[-1]
        best = best.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        pairs = (target * SEMANTIC_CLASSES + best)[target != IGNORED_CLASS]
        counted = torch.bincount(pairs.view(-1), minlength=SEMANTIC_CLASSES**2)
        self._confusion += counted.view_as(self._confusion)

    def values(self) -> dict[str, float]:
        """Return mIoU over the classes that occur, in label or prediction, and accuracy."""
        matrix = self._confusion.double()
        hits, total = matrix.diagonal(), matrix.sum()
        if total == 0:
            return {}
        union = matrix.sum(0) + matrix.sum(1) - hits
        return {
            "miou": float((hits / union)[union > 0].mean()),
            "pixel_accuracy": float(hits.sum() / total),
        }


class Depth:
    """Sum errors of depth in metres; a true depth that is not positive is no label."""

    def __init__(self, scale: DepthScale) -> None:
        self._scale = scale
        self._pixels = 0
        self._sums = torch.zeros(3 + len(RATIO_LIMITS), dtype=torch.float64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in normalised depths (N, 1, H, W)."""
        true = self._metres(target)
        known = true > 0  # false for NaN
        true, found = true[known], self._metres(prediction)[known]
        error = (found - true).abs()
        # a depth of 0 or less is infinitely wrong as a ratio, not a small one
        ratio = torch.where(found > 0, torch.maximum(found / true, true / found), math.inf)
        sums = [error.sum(), (error / true).sum(), error.square().sum()]
        self._sums += torch.stack(sums + [(ratio < limit).sum() for limit in RATIO_LIMITS])
        self._pixels += true.numel()

    def _metres(self, normalised: Tensor) -> Tensor:
        scale = self._scale
        return (normalised.double() * scale.scale + scale.offset) * scale.unit_m

    def values(self) -> dict[str, float]:
        """Return absolute and relative error, root mean square error and ratio shares."""
        if not self._pixels:
            return {}
        absolute, relative, square, *shares = (self._sums / self._pixels).tolist()
        found = {"abs_error_m": absolute, "rel_error": relative, "rmse_m": math.sqrt(square)}
        names = ("within_1_25", "within_1_25_2", "within_1_25_3")
        return found | dict(zip(names, shares, strict=True))


class Directions:
    """Gather the angles between vectors, whatever their lengths.

    The angle of unit vectors a and b is 2·atan2(‖a − b‖, ‖a + b‖), which stays exact near 0 and 180
    degrees where the arc cosine does not. A prediction without length is off by 90 degrees; a
    target without length is no label.
    """

    def __init__(self) -> None:
        self._pixels = 0
        self._sum_deg = 0.0
        self._within = torch.zeros(len(ANGLE_LIMITS_DEG), dtype=torch.int64)
        self._histogram = torch.zeros(ANGLE_BINS, dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in vectors (N, 3, H, W)."""
        true, found = _vectors(target), _vectors(prediction)
        known = _lengths(true) > 0  # false for NaN
        angles = _angles_deg(found[:, known], true[:, known])
        self._pixels += angles.numel()
        self._sum_deg += float(angles.sum())
        self._within += torch.stack([(angles < limit).sum() for limit in ANGLE_LIMITS_DEG])
        bins = (angles * (ANGLE_BINS / 180.0)).long().clamp_max(ANGLE_BINS - 1)
        self._histogram += torch.bincount(bins, minlength=ANGLE_BINS)

    def values(self) -> dict[str, float]:
        """Return mean and median angle and shares below the limits."""
        if not self._pixels:
            return {}
        found = {
            "mean_angle_deg": self._sum_deg / self._pixels,
            "median_angle_deg": self._median_deg(),
        }
        names = ("within_11_25_deg", "within_22_5_deg", "within_30_deg")
        shares = (self._within.double() / self._pixels).tolist()
        return found | dict(zip(names, shares, strict=True))

    def _median_deg(self) -> float:
        """Return the mean of the two middle angles, each taken as the middle of its bin."""
        cumulated = self._histogram.cumsum(0)
        middle = torch.tensor([(self._pixels - 1) // 2, self._pixels // 2])
        bins = torch.searchsorted(cumulated, middle, right=True).double()
        return float((bins + 0.5).mean()) * 180.0 / ANGLE_BINS


def _vectors(pictures: Tensor) -> Tensor:
    """Return all pixels of (N, 3, H, W) as columns, (3, N·H·W)."""
    return pictures.transpose(0, 1).flatten(1).double()


def _lengths(vectors: Tensor) -> Tensor:
    return vectors.square().sum(0).sqrt_()


def _angles_deg(one: Tensor, other: Tensor) -> Tensor:
    a, b = (v / _lengths(v).clamp_min(1e-150) for v in (one, other))
    return torch.rad2deg(2.0 * torch.atan2(_lengths(a - b), _lengths(a + b)))


class Distance:
    """Average the absolute or the squared error of normalised values."""

    def __init__(self, *, squared: bool) -> None:
        self._squared = squared
        self._values = 0
        self._sum = 0.0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in normalised values (N, C, H, W)."""
        known = ~target.isnan()
        error = (prediction - target)[known].double()
        self._sum += float((error.square() if self._squared else error.abs()).sum())
        self._values += error.numel()

    def values(self) -> dict[str, float]:
        """Return the L1, or the root mean square error."""
        if not self._values:
            return {}
        mean = self._sum / self._values
        return {"rmse": math.sqrt(mean)} if self._squared else {"l1": mean}
