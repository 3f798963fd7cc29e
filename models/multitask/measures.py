"""Name what a finished network is judged by, task by task, beside its loss.

The measures are those that the literature on dense multi-task learning reports: LibMTL (Lin and
Zhang, JMLR 2023) and FedHCA² (CVPR 2024) for segmentation, depth and normals, the root mean square
for curvature, the plain L1 for the rest. Only plain data lives here; `metrics.py` computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """Describe one measure; `better` says in which direction it improves."""

    name: str
    unit: str
    better: Literal["lower", "higher"]
    meaning: str


_CLASSES = (
    Measure("miou", "", "higher", "Intersection over union, mean over the classes that occur."),
    Measure("pixel_accuracy", "", "higher", "Share of pixels with the right class."),
)
_DEPTH = (
    Measure("abs_error_m", "m", "lower", "Mean absolute error of depth."),
    Measure("rel_error", "", "lower", "Mean absolute error over true depth."),
    Measure("rmse_m", "m", "lower", "Root mean square error of depth."),
    Measure("within_1_25", "", "higher", "Share with max(p/t, t/p) < 1.25; p ≤ 0 never counts."),
    Measure("within_1_25_2", "", "higher", "The same for 1.25² = 1.5625."),
    Measure("within_1_25_3", "", "higher", "The same for 1.25³ = 1.953125."),
)
_DIRECTIONS = (
    Measure("mean_angle_deg", "deg", "lower", "Mean angle between predicted and true normal."),
    Measure("median_angle_deg", "deg", "lower", "Median of that angle, to 0.005 degrees."),
    Measure("within_11_25_deg", "", "higher", "Share of angles below 11.25 degrees."),
    Measure("within_22_5_deg", "", "higher", "Share of angles below 22.5 degrees."),
    Measure("within_30_deg", "", "higher", "Share of angles below 30 degrees."),
)
_SPREAD = (Measure("rmse", "", "lower", "Root mean square error of the normalised label."),)
_DISTANCE = (Measure("l1", "", "lower", "Mean absolute error of the normalised label."),)

MEASURES: Mapping[str, tuple[Measure, ...]] = {
    "s": _CLASSES,
    "d": _DEPTH,
    "n": _DIRECTIONS,
    "c": _SPREAD,
    **dict.fromkeys("ktera", _DISTANCE),
}
"""Task letter → its measures. Pixels without label count nowhere."""

BY_NAME: Mapping[str, Measure] = {m.name: m for those in MEASURES.values() for m in those}

UNSEEN = "unseen_"
"""Stands before the name of a measure that was taken on buildings no client owns."""
