"""Cast a coarse image quickly: all primitives at once instead of one after the other.

A survey has few rays, so the time goes into the number of NumPy calls; stacking all solids of a
shape into one call makes it several times faster than the loop of `raycast`.
"""

from __future__ import annotations

import numpy as np

from harness.workloads.multitask.data.scenes.camera import Camera
from harness.workloads.multitask.data.scenes.intersect import (
    axis_last,
    hit_box,
    hit_ellipsoid,
    hit_frustum,
)
from harness.workloads.multitask.data.scenes.primitives import Primitive, Shape
from harness.workloads.multitask.data.scenes.raycast import room_depth
from harness.workloads.multitask.data.scenes.scene import Scene
from harness.workloads.multitask.data.scenes.vectors import (
    Field,
    FloatArray,
    IntArray,
    Point,
    Reals,
    to_local,
)


def survey(scene: Scene, camera: Camera, side: int) -> tuple[FloatArray, IntArray]:
    """Return z-depth (metres) and number of the primitive seen, -1 for the room itself.

    Two arrays of shape (side²,) for a side × side image: float32 and int64.
    """
    x, y, z = camera.rays(side)
    direction = (x.ravel(), y.ravel(), z.ravel())
    depth = room_depth(scene.size, camera.position, direction)
    index = np.full(depth.shape, -1, np.int64)
    for shape, axis in _GROUPS:
        members = [
            number
            for number, primitive in enumerate(scene.primitives)
            if primitive.shape is shape and (shape is not Shape.FRUSTUM or primitive.axis == axis)
        ]
        if members:
            solids = [scene.primitives[number] for number in members]
            hits = _hit_all(solids, camera.position, direction)
            nearest = np.argmin(hits, axis=0)
            found = np.min(hits, axis=0)
            closer = found < depth
            depth = np.where(closer, found, depth)
            index = np.where(closer, np.array(members)[nearest], index)
    return depth, index


_GROUPS = (
    (Shape.BOX, 2),
    (Shape.ELLIPSOID, 2),
    (Shape.FRUSTUM, 0),
    (Shape.FRUSTUM, 1),
    (Shape.FRUSTUM, 2),
)


def _column(values: list[float]) -> FloatArray:
    return np.array(values, np.float32)[:, None]


def _hit_all(solids: list[Primitive], position: Point, direction: Field) -> FloatArray:
    """Return the hits of P solids of one shape with N rays, shape (P, N)."""
    turn = (_column([s.turn[0] for s in solids]), _column([s.turn[1] for s in solids]))
    offset = [_column([position[k] - s.centre[k] for s in solids]) for k in range(3)]
    origin: Reals = (*to_local(turn, offset[0], offset[1]), offset[2])
    step: Reals = (*to_local(turn, direction[0], direction[1]), direction[2])
    half: Reals = tuple(_column([s.half[k] for s in solids]) for k in range(3))  # type: ignore[assignment]
    if solids[0].shape is Shape.BOX:
        return hit_box(half, origin, step)
    if solids[0].shape is Shape.ELLIPSOID:
        return hit_ellipsoid(half, origin, step)
    axis = solids[0].axis
    radii = (_column([s.radii[0] for s in solids]), _column([s.radii[1] for s in solids]))
    return hit_frustum(half[axis], radii, axis_last(origin, axis), axis_last(step, axis))
