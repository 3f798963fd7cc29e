"""Write vectors of arrays as tuples of components, so that each sum has one defined order."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.signedinteger[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
ByteArray: TypeAlias = npt.NDArray[np.uint8]
Point: TypeAlias = tuple[float, float, float]
Turn: TypeAlias = tuple[float, float]
"""Cosine and sine of a rotation about the vertical."""
Field: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]
"""One vector per ray: three arrays of equal shape."""
Real: TypeAlias = "float | FloatArray"
"""A number per ray or one for all of them."""
Reals: TypeAlias = tuple[Real, Real, Real]


def dot(first: Reals, second: Reals) -> FloatArray:
    """Return the scalar product, summed from the first component to the last."""
    # Numbers must stay plain: an array of one double would turn float32 fields into float64.
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]  # type: ignore[return-value]


def scalar_dot(first: Point, second: Point) -> float:
    """Return the scalar product of two points."""
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]


def cross(first: Point, second: Point) -> Point:
    """Return the vector product of two points."""
    return (
        first[1] * second[2] - first[2] * second[1],
        first[2] * second[0] - first[0] * second[2],
        first[0] * second[1] - first[1] * second[0],
    )


def to_local(turn: Turn | tuple[FloatArray, FloatArray], x: Real, y: Real) -> tuple[Real, Real]:
    """Rotate world (x, y) into the frame that is turned by `turn`."""
    cosine, sine = turn
    return x * cosine + y * sine, y * cosine - x * sine


def clamp(value: FloatArray, low: float, high: float) -> FloatArray:
    """Limit every element to [low, high]."""
    return np.minimum(np.maximum(value, low), high)


def away_from_zero(value: FloatArray) -> FloatArray:
    """Replace components too small to divide by with 1e-9."""
    return np.where(np.abs(value) < 1e-9, 1e-9, value)
