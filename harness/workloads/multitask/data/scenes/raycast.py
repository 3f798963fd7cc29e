"""Find what every ray of an image hits first.

Each solid is intersected only with the rays of the screen rectangle that its bounds project to,
so the work grows with what the picture shows, not with pixels times solids.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.workloads.multitask.data.scenes.camera import Camera
from harness.workloads.multitask.data.scenes.intersect import (
    axis_last,
    hit_box,
    hit_ellipsoid,
    hit_frustum,
)
from harness.workloads.multitask.data.scenes.primitives import Bounds, Primitive, Shape
from harness.workloads.multitask.data.scenes.scene import Scene
from harness.workloads.multitask.data.scenes.vectors import (
    Field,
    FloatArray,
    IntArray,
    Point,
    Reals,
    away_from_zero,
    to_local,
)

ROOM = -1
"""Index of the room's own walls, floor and ceiling."""

_NEAR_M = 0.05
_SIGNS = np.array(
    [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)],
    np.float64,
)
_Doubles = npt.NDArray[np.float64]


class Hits(NamedTuple):
    """Hold what an image of side × side rays sees.

    Attributes:
        depth: z-depth in metres, float32, shape (side, side).
        solid: Number of the primitive, `ROOM` for the room itself, int32, shape (side, side).
        direction: Rays, not normalised: position + depth · direction is the point seen.
    """

    depth: FloatArray
    solid: IntArray
    direction: Field


def cast(scene: Scene, camera: Camera, side: int) -> Hits:
    """Cast side × side primary rays."""
    direction = camera.rays(side)
    depth = room_depth(scene.size, camera.position, direction)
    index = np.full(depth.shape, ROOM, np.int32)
    rectangles = _screen_rectangles(scene.bounds, camera, side)
    for number, (left, right, top, bottom) in enumerate(rectangles):
        if left >= right or top >= bottom:
            continue
        part = np.s_[top:bottom, left:right]
        rays = (direction[0][part], direction[1][part], direction[2][part])
        primitive = scene.primitives[number]
        hits = hit(primitive, offset_from(primitive, camera.position), rays)
        closer = hits < depth[part]
        np.copyto(depth[part], hits, where=closer)
        index[part][closer] = number
    return Hits(depth, index, direction)


def room_depth(size: Point, position: Point, direction: Field) -> FloatArray:
    """Return where rays that start inside the room meet its walls, floor or ceiling."""
    high = (size[0] / 2, size[1] / 2, size[2])
    low = (-size[0] / 2, -size[1] / 2, 0.0)
    depth: FloatArray | None = None
    for start, step, top, bottom in zip(position, direction, high, low, strict=True):
        safe = away_from_zero(step)
        t = np.where(safe > 0, np.float32(top - start), np.float32(bottom - start)) / safe
        depth = t if depth is None else np.minimum(depth, t)
    assert depth is not None
    return depth


def offset_from(primitive: Primitive, point: Reals) -> Reals:
    """Return the world offset of points from the centre of a primitive."""
    centre = primitive.centre
    return point[0] - centre[0], point[1] - centre[1], point[2] - centre[2]


def hit(primitive: Primitive, offset: Reals, direction: Field) -> FloatArray:
    """Intersect rays with one primitive.

    Args:
        primitive: The solid.
        offset: Start of the rays relative to the solid's centre, world axes.
        direction: Steps of the rays, world axes.

    Returns:
        First t with a hit or infinity, in the shape of the rays.
    """
    origin: Reals = (*to_local(primitive.turn, offset[0], offset[1]), offset[2])
    step: Reals = (*to_local(primitive.turn, direction[0], direction[1]), direction[2])
    if primitive.shape is Shape.BOX:
        return hit_box(primitive.half, origin, step)
    if primitive.shape is Shape.ELLIPSOID:
        return hit_ellipsoid(primitive.half, origin, step)
    axis = primitive.axis
    half_height = primitive.half[axis]
    return hit_frustum(half_height, primitive.radii, axis_last(origin, axis), axis_last(step, axis))


def _along(axis: Point, x: _Doubles, y: _Doubles, z: _Doubles) -> _Doubles:
    return x * axis[0] + y * axis[1] + z * axis[2]


def _screen_rectangles(bounds: Bounds, camera: Camera, side: int) -> list[list[int]]:
    """Return left, right, top and bottom (exclusive) pixel of each primitive; empty if unseen.

    The corners of the bounding boxes are projected; a box that reaches behind the near plane
    gets the whole screen, one that lies behind the camera nothing.
    """
    offset = bounds.centre - np.array(camera.position)
    middle = _along(camera.forward, offset[:, 0], offset[:, 1], offset[:, 2])
    corners = offset[:, None, :] + _SIGNS[None] * bounds.extent[:, None, :]
    x, y, z = corners[..., 0], corners[..., 1], corners[..., 2]
    depth = _along(camera.forward, x, y, z)
    in_front = np.min(depth, axis=1) > _NEAR_M
    scale = side / (2 * camera.tan_half_fov)
    safe = np.where(in_front[:, None], depth, 1.0)
    columns = _along(camera.right, x, y, z) / safe * scale + side / 2
    rows = _along(camera.down, x, y, z) / safe * scale + side / 2
    limits = []
    for pixels in (columns, rows):
        # One pixel of slack on each side: float32 rays may graze what float64 corners miss.
        first = np.where(in_front, np.floor(np.min(pixels, axis=1)) - 1, 0)
        last = np.where(in_front, np.ceil(np.max(pixels, axis=1)) + 2, side)
        last = np.where(middle < -bounds.radius, 0, last)
        limits += [np.maximum(first, 0), np.minimum(last, side)]
    return np.stack(limits, axis=1).astype(np.int64).tolist()  # type: ignore[no-any-return]
