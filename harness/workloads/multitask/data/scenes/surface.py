"""Give every hit point its normal, its curvature and its place in the texture.

Curvatures are principal curvatures in 1/m, k1 >= k2, positive where the surface bulges towards
the room. Edges of boxes and corners of the room count as fillets of 0.12 m and 0.20 m: real scans
are smooth there too, and a label that is zero almost everywhere cannot be learned under L1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from harness.workloads.multitask.data.scenes.intersect import axis_last
from harness.workloads.multitask.data.scenes.primitives import Primitive, Shape
from harness.workloads.multitask.data.scenes.vectors import BoolArray, Field, FloatArray, Point, dot

_BOX_FILLET_M = 0.12
_CORNER_FILLET_M = 0.20
_FILLET_TURN = 1.5  # about pi/2: the angle a right-angled edge turns through
_HALF_SQRT_2 = 0.70710678


class Surface(NamedTuple):
    """Hold what is known of n surface points; every array has shape (n,), u and v are metres."""

    normal: Field
    k1: FloatArray
    k2: FloatArray
    u: FloatArray
    v: FloatArray


def surface_of(primitive: Primitive, point: Field) -> Surface:
    """Describe points (local frame, metres) on the surface of a primitive."""
    if primitive.shape is Shape.BOX:
        return box_surface(primitive.half, primitive.bevel, point)
    if primitive.shape is Shape.ELLIPSOID:
        return ellipsoid_surface(primitive.half, point)
    return _frustum_surface(primitive, point)


def _faces(distance: Field) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Tell which pair of faces each point lies on: the nearest, the first of equals."""
    nearest = np.minimum(np.minimum(distance[0], distance[1]), distance[2])
    on_x = distance[0] <= nearest
    on_y = ~on_x & (distance[1] <= nearest)
    return on_x, on_y, ~(on_x | on_y)


def box_surface(half: Point, bevel: float, point: Field, inside: bool = False) -> Surface:
    """Describe points on a box.

    Args:
        half: Half sizes in metres.
        bevel: Width in metres over which the normal leans towards the neighbouring face.
        point: Points on the box in its local frame.
        inside: True for a room seen from within: normals point inwards, corners are concave.
    """
    distance = tuple(length - np.abs(x) for length, x in zip(half, point, strict=True))
    faces = _faces((distance[0], distance[1], distance[2]))
    width = min(bevel, *(0.45 * length for length in half))
    lean = [
        np.where(face, 0.0, np.maximum(1 - gap * (1 / width), 0)) * _HALF_SQRT_2
        for face, gap in zip(faces, distance, strict=True)
    ]
    leaning = lean[0] * lean[0] + lean[1] * lean[1] + lean[2] * lean[2]
    upright = np.sqrt(np.maximum(1 - leaning, 0.0))
    # A concave corner leans the same way on both walls: towards the room, against the sign of x.
    sign = -1.0 if inside else 1.0
    normal = [
        np.copysign(np.where(face, upright, tilt), sign * x)
        for face, tilt, x in zip(faces, lean, point, strict=True)
    ]
    k1, k2 = _fillet_curvature(half, faces, (distance[0], distance[1], distance[2]), inside)
    u = np.where(faces[0], point[1], point[0])
    v = np.where(faces[2], point[1], point[2])
    return Surface((normal[0], normal[1], normal[2]), k1, k2, u, v)


def _fillet_curvature(
    half: Point, faces: tuple[BoolArray, BoolArray, BoolArray], distance: Field, inside: bool
) -> tuple[FloatArray, FloatArray]:
    """Give each edge a triangular bump of curvature whose integral is the turn of the edge."""
    fillet = _CORNER_FILLET_M if inside else _BOX_FILLET_M
    bends = []
    for length, face, gap in zip(half, faces, distance, strict=True):
        width = min(fillet, 0.45 * length)
        bump = np.maximum(1 - gap * (1 / width), 0) * (_FILLET_TURN / width)
        bends.append(np.where(face, 0.0, bump))
    largest = np.maximum(np.maximum(bends[0], bends[1]), bends[2])
    smallest = np.minimum(np.minimum(bends[0], bends[1]), bends[2])
    middle = (bends[0] + bends[1] + bends[2]) - (largest + smallest)
    return (-middle, -largest) if inside else (largest, middle)


def ellipsoid_surface(half: Point, point: Field) -> Surface:
    """Describe points on an ellipsoid from its implicit form.

    Gaussian and mean curvature of x²/a² + y²/b² + z²/c² = 1 with w = x²/a⁴ + y²/b⁴ + z²/c⁴ are
    1 / (a²b²c² w²) and (a² + b² + c² - x² - y² - z²) / (2 a²b²c² w^1.5).
    """
    a2, b2, c2 = (length * length for length in half)
    gradient = (point[0] * (1 / a2), point[1] * (1 / b2), point[2] * (1 / c2))
    square = dot(gradient, gradient)
    length = np.sqrt(square)
    product = a2 * b2 * c2
    gaussian = 1 / (product * square * square)
    mean = (a2 + b2 + c2 - dot(point, point)) / (2 * product * square * length)
    spread = np.sqrt(np.maximum(mean * mean - gaussian, 0))
    normal = (gradient[0] / length, gradient[1] / length, gradient[2] / length)
    return Surface(normal, mean + spread, mean - spread, point[0] + point[1], point[2])


def _frustum_surface(primitive: Primitive, point: Field) -> Surface:
    """Describe points on a frustum: mantle with one curvature cos(slope)/radius, or flat cap."""
    axis = primitive.axis
    x, y, z = axis_last(point, axis)
    half_height = primitive.half[axis]
    low, high = primitive.radii
    slope = (high - low) / (2 * half_height)
    mean_radius = 0.5 * (low + high)
    distance = np.sqrt(x * x + y * y) + 1e-9
    on_cap = np.abs(z) > half_height * (1 - 1e-4) - 1e-5
    on_cap &= distance < mean_radius + slope * z - 1e-5
    cosine = 1 / math.sqrt(1 + slope * slope)
    flat = np.zeros_like(distance)
    outward = np.where(on_cap, flat, cosine / distance)
    along = np.where(on_cap, np.copysign(flat + 1, z), -slope * cosine)
    k1 = np.where(on_cap, flat, cosine / np.maximum(distance, 1e-3))
    # A cheap stand-in for the angle: a true one would need an arc tangent.
    around = np.where(np.abs(x) > np.abs(y), y, x) / distance
    u = np.where(on_cap, x, around * mean_radius)
    v = np.where(on_cap, y, z)
    return Surface(_axis_back((x * outward, y * outward, along), axis), k1, flat, u, v)


def _axis_back(vector: Field, axis: int) -> Field:
    """Undo `axis_last`."""
    if axis == 0:
        return vector[2], vector[0], vector[1]
    if axis == 1:
        return vector[0], vector[2], vector[1]
    return vector
