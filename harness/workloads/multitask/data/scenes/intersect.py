"""Find where rays enter the solids.

All functions work in the local frame of a solid centred at 0. Parameters and rays may be numbers
or arrays that broadcast: one solid against many rays, or many solids (column) against many rays
(row). A ray is origin + t · direction, the direction need not have unit length, and the answer is
the first t > `MINIMUM_T`, or infinity. A box or an ellipsoid is not seen from inside.
"""

from __future__ import annotations

import numpy as np

from harness.workloads.multitask.data.scenes.vectors import (
    FloatArray,
    Real,
    Reals,
    away_from_zero,
    dot,
)

MINIMUM_T = 1e-4
_NOWHERE = np.float32(np.inf)


def hit_box(half: Reals, origin: Reals, direction: Reals) -> FloatArray:
    """Intersect rays with a box (slab method); `half` holds the half sizes."""
    entry: FloatArray | None = None
    leave: FloatArray | None = None
    for size, start, step in zip(half, origin, direction, strict=True):
        inverse = 1 / away_from_zero(np.asarray(step))
        middle = -start * inverse
        reach = size * np.abs(inverse)
        entry = middle - reach if entry is None else np.maximum(entry, middle - reach)
        leave = middle + reach if leave is None else np.minimum(leave, middle + reach)
    assert entry is not None
    assert leave is not None
    return np.where((entry <= leave) & (entry > MINIMUM_T), entry, _NOWHERE)


def hit_ellipsoid(half: Reals, origin: Reals, direction: Reals) -> FloatArray:
    """Intersect rays with an ellipsoid of semi-axes `half`: a unit sphere after scaling."""
    start = (origin[0] / half[0], origin[1] / half[1], origin[2] / half[2])
    step = (direction[0] / half[0], direction[1] / half[1], direction[2] / half[2])
    square = dot(step, step)
    mixed = dot(start, step)
    rest = dot(start, start) - 1
    discriminant = mixed * mixed - square * rest
    t = (-mixed - np.sqrt(np.maximum(discriminant, 0))) / square
    return np.where((discriminant > 0) & (t > MINIMUM_T), t, _NOWHERE)


def hit_frustum(
    half_height: Real, radii: tuple[Real, Real], origin: Reals, direction: Reals
) -> FloatArray:
    """Intersect rays with a capped frustum about the third axis.

    Args:
        half_height: Half its length.
        radii: Radii at the lower and at the upper end.
        origin: Start of the rays; the frustum's axis is the third component.
        direction: Steps of the rays in the same order.
    """
    x, y, z = origin
    step_x, step_y, step_z = direction
    slope = (radii[1] - radii[0]) / (2 * half_height)
    middle = 0.5 * (radii[0] + radii[1])
    radius = middle + slope * z
    square = step_x * step_x + step_y * step_y - (slope * slope) * step_z * step_z
    mixed = x * step_x + y * step_y - slope * radius * step_z
    rest = x * x + y * y - radius * radius
    discriminant = np.asarray(mixed * mixed - square * rest)
    root = np.sqrt(np.maximum(discriminant, 0))
    inverse = 1 / away_from_zero(np.asarray(square))
    first = (-mixed - root) * inverse
    second = (-mixed + root) * inverse
    nearest: FloatArray = np.full_like(first, _NOWHERE)
    for t in (np.maximum(first, second), np.minimum(first, second)):
        height = z + t * step_z
        on_mantle = (discriminant > 0) & (np.abs(height) <= half_height)
        on_mantle &= (t > MINIMUM_T) & (middle + slope * height >= 0)
        nearest = np.where(on_mantle, t, nearest)
    inverse = 1 / away_from_zero(np.asarray(step_z))
    for end, cap in ((-half_height, radii[0]), (half_height, radii[1])):
        t = (end - z) * inverse
        across = x + t * step_x
        along = y + t * step_y
        on_cap = (across * across + along * along <= cap * cap) & (t > MINIMUM_T)
        nearest = np.where(on_cap & (t < nearest), t, nearest)
    return nearest


def axis_last(vector: Reals, axis: int) -> Reals:
    """Reorder components so that `axis` comes third and the two others keep their order."""
    if axis == 0:
        return vector[1], vector[2], vector[0]
    if axis == 1:
        return vector[0], vector[2], vector[1]
    return vector
