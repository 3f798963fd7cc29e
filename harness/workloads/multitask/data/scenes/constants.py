"""Fix the constants that scale stored labels to training targets.

As with the published constants of Taskonomy, target = (stored - offset) / scale. Offset and scale
are the mean and the standard deviation over 32 buildings × 32 pictures of 64 px, seed 1, rounded
to three digits, so that the L1 loss of the best constant is of order one half for every task and
no task dominates a sum of losses. Normals keep their meaning as unit vectors: offset 0, scale 127.

They are frozen: a change would make losses incomparable. `python -m harness.data.scenes.constants`
reproduces the table in about a minute.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

import numpy as np
import numpy.typing as npt

from harness.workloads.multitask.data.scenes import VIEWS_PER_ROOM
from harness.workloads.multitask.data.scenes.building import LABELS, building_views

NORMALISATION: Mapping[str, tuple[float, float]] = {
    "rgb": (143.0, 40.0),  # L1 of the median 0.79
    "s": (0.0, 1.0),
    "d": (2270.0, 1020.0),  # L1 of the median 0.80
    "n": (0.0, 127.0),  # L1 of the median 0.45
    "k": (22.0, 35.7),  # L1 of the median 0.58
    "t": (34.0, 40.6),  # L1 of the median 0.59
    "e": (31.7, 57.3),  # L1 of the median 0.55
    "r": (159.0, 51.2),  # L1 of the median 0.83
    "c": (4.36, 22.2),  # L1 of the median 0.43
    "a": (143.0, 40.0),  # L1 of the median 0.79
}
"""Label -> (offset, scale); `s` holds class numbers and stays as it is, `a` is `rgb`."""

_SEED = 1
_BUILDINGS = 32
_IMAGES = 32
_SIZE = 64
_LOWEST = -128


class Histogram:
    """Count the values of one integer label exactly."""

    def __init__(self) -> None:
        self._counts = np.zeros(1 << 17, np.int64)

    def add(self, values: npt.NDArray[np.generic]) -> None:
        """Count all elements of an array of 8- or 16-bit integers."""
        shifted = values.astype(np.int64).ravel() - _LOWEST
        found = np.bincount(shifted)
        self._counts[: found.size] += found

    def moments(self) -> tuple[float, float]:
        """Return mean and standard deviation."""
        values = np.arange(self._counts.size, dtype=np.int64) + _LOWEST
        total = int(self._counts.sum())
        mean = int((self._counts * values).sum()) / total
        square = int((self._counts * values * values).sum()) / total
        return mean, math.sqrt(square - mean * mean)

    def median_l1(self) -> float:
        """Return the mean absolute distance to the median."""
        total = int(self._counts.sum())
        median = int(np.searchsorted(np.cumsum(self._counts), (total + 1) // 2)) + _LOWEST
        values = np.arange(self._counts.size, dtype=np.int64) + _LOWEST
        return int((self._counts * np.abs(values - median)).sum()) / total


def histograms(buildings: Iterable[int], images: int, size: int) -> dict[str, Histogram]:
    """Count every label over some buildings of the default world."""
    counted = {label: Histogram() for label in LABELS}
    for building in buildings:
        rooms = range(images // VIEWS_PER_ROOM)
        for view in building_views(_SEED, building, rooms, size, 1.0):
            for label, histogram in counted.items():
                histogram.add(view.arrays[label])
    return counted


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def derive(counted: Mapping[str, Histogram]) -> dict[str, tuple[float, float]]:
    """Return offset and scale of every label."""
    table = {}
    for label, histogram in counted.items():
        mean, deviation = histogram.moments()
        table[label] = (_rounded(mean), _rounded(deviation))
    table["s"] = (0.0, 1.0)
    table["n"] = (0.0, 127.0)
    table["a"] = table["rgb"]
    return table


def main(out: TextIO) -> None:
    """Print the table and the loss of the best constant per label."""
    counted = histograms(range(_BUILDINGS), _IMAGES, _SIZE)
    for label, (offset, scale) in derive(counted).items():
        loss = counted.get(label, counted["rgb"]).median_l1() / scale
        out.write(f'    "{label}": ({offset}, {scale}),  # L1 of the median {loss:.2f}\n')


if __name__ == "__main__":
    main(sys.stdout)
