"""Measure offset and scale of labels that nobody has published constants for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from harness.workloads.multitask.data.shard import LeftOut, Picture

SAMPLE = 64
"""Training pictures looked at, spread evenly; the constants are then frozen in the manifest."""


def measured_scales(
    pictures: Iterable[Picture | LeftOut], labels: Iterable[str]
) -> Mapping[str, tuple[float, float]]:
    """Return mean and standard deviation of each label over all valid pixels, to three digits.

    A label without spread keeps scale 1. Pictures that cannot be read are passed over.
    """
    names = list(labels)
    sums = {label: [0.0, 0.0, 0.0] for label in names}
    for picture in pictures:
        if isinstance(picture, LeftOut):
            continue
        valid = picture.arrays.get("mask")
        for label in names:
            values = picture.arrays[label]
            if valid is not None:
                values = values[valid.astype(np.bool_)]
            wide = values.astype(np.float64)
            found = (float(wide.size), float(wide.sum()), float((wide * wide).sum()))
            sums[label] = [a + b for a, b in zip(sums[label], found, strict=True)]
    return {label: _mean_and_spread(*sums[label]) for label in names}


def _mean_and_spread(count: float, total: float, squares: float) -> tuple[float, float]:
    if not count:
        return 0.0, 1.0
    mean = total / count
    spread = math.sqrt(max(squares / count - mean * mean, 0.0))
    return float(f"{mean:.3g}"), float(f"{spread:.3g}") or 1.0
