"""Rays against solids, compared with marching along the ray."""

from __future__ import annotations

import numpy as np
import pytest

from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.intersect import (
    axis_last,
    hit_box,
    hit_ellipsoid,
    hit_frustum,
)
from harness.workloads.multitask.data.scenes.materials import plain
from harness.workloads.multitask.data.scenes.primitives import Bounds, Primitive, Shape
from harness.workloads.multitask.data.scenes.raycast import hit, offset_from

RAYS = 300
STEPS = 1500
FAR = 6.0
GREY = plain((0.5, 0.5, 0.5))


def margin_box(half, points):
    """Positive inside a box, metres to its surface at least."""
    return np.min(np.asarray(half) - np.abs(points), axis=-1)


def margin_ellipsoid(half, points):
    """Positive inside an ellipsoid."""
    return (1 - np.sqrt(((points / np.asarray(half)) ** 2).sum(-1))) * min(half)


def margin_frustum(half_height, radii, points):
    """Positive inside a capped frustum about z."""
    z = points[..., 2]
    radius = radii[0] + (radii[1] - radii[0]) * (z + half_height) / (2 * half_height)
    across = np.sqrt(points[..., 0] ** 2 + points[..., 1] ** 2)
    return np.minimum(half_height - np.abs(z), radius - across)


def random_rays(seed):
    """Rays from a shell outside every solid, towards points near the origin."""
    random = np.random.default_rng(seed)
    start = random.normal(size=(RAYS, 3))
    start *= 3.0 / np.linalg.norm(start, axis=1, keepdims=True)
    target = random.uniform(-0.8, 0.8, (RAYS, 3))
    step = (target - start) / np.linalg.norm(target - start, axis=1, keepdims=True)
    return start.astype(np.float32), step.astype(np.float32)


def check_against_marching(found, start, step, margin):
    """A hit lies on the surface with nothing before it; after a miss there is nothing at all."""
    t = np.linspace(0.0, FAR, STEPS)
    points = start[:, None, :].astype(float) + t[None, :, None] * step[:, None, :].astype(float)
    inside = margin(points)
    before = t[None, :] < found[:, None] - 1e-3
    assert not ((inside > 1e-3) & before).any()
    landed = np.isfinite(found)
    assert 0.1 < landed.mean() < 1.0
    at = start[landed].astype(float) + found[landed, None] * step[landed].astype(float)
    assert np.abs(margin(at)).max() < 2e-3


def components(vectors):
    return vectors[:, 0], vectors[:, 1], vectors[:, 2]


@pytest.mark.parametrize("half", [(0.5, 0.7, 0.3), (0.02, 0.6, 0.9), (0.4, 0.4, 0.4)])
def test_box_agrees_with_marching(half):
    """The slab test finds the first point of a box."""
    start, step = random_rays(1)
    found = hit_box(half, components(start), components(step))
    check_against_marching(found, start, step, lambda points: margin_box(half, points))


@pytest.mark.parametrize("half", [(0.5, 0.7, 0.3), (0.9, 0.3, 0.6), (0.4, 0.4, 0.4)])
def test_ellipsoid_agrees_with_marching(half):
    """The scaled quadratic finds the first point of an ellipsoid."""
    start, step = random_rays(2)
    found = hit_ellipsoid(half, components(start), components(step))
    check_against_marching(found, start, step, lambda points: margin_ellipsoid(half, points))


@pytest.mark.parametrize(
    ("half_height", "radii"), [(0.5, (0.4, 0.4)), (0.3, (0.7, 0.2)), (0.8, (0.1, 0.6))]
)
def test_frustum_agrees_with_marching(half_height, radii):
    """Mantle and caps together give the first point of a frustum."""
    start, step = random_rays(3)
    found = hit_frustum(half_height, radii, components(start), components(step))
    margin = lambda points: margin_frustum(half_height, radii, points)  # noqa: E731
    check_against_marching(found, start, step, margin)


def test_known_points():
    """Along an axis the answers are the closed forms."""
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    ray = ((zero, zero, zero - 3), (zero, zero, one))
    assert hit_box((1.0, 1.0, 0.5), *ray) == pytest.approx(2.5)
    assert hit_ellipsoid((1.0, 1.0, 0.25), *ray) == pytest.approx(2.75)
    assert hit_frustum(0.5, (0.2, 0.1), *ray) == pytest.approx(2.5)
    sideways = ((zero - 3, zero, zero), (one, zero, zero))
    assert hit_frustum(0.5, (0.2, 0.1), *sideways) == pytest.approx(3 - 0.15, abs=1e-6)
    away = ((zero, zero, zero - 3), (zero, zero, -one))
    assert np.isinf(hit_box((1.0, 1.0, 0.5), *away))
    assert np.isinf(hit_ellipsoid((1.0, 1.0, 0.5), *away))
    assert np.isinf(hit_frustum(0.5, (0.2, 0.1), *away))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_placed_and_turned_solids(axis):
    """A solid somewhere in the room, turned and lying on its side, is hit where it is."""
    half = [0.3, 0.3, 0.3]
    half[axis] = 0.5
    solid = Primitive(
        Shape.FRUSTUM, (0.4, -0.2, 0.3), tuple(half), (0.6, 0.8), GREY, Kind.LAMP,
        axis=axis, radii=(0.3, 0.15),
    )  # fmt: skip
    start, step = random_rays(4 + axis)
    found = hit(solid, offset_from(solid, components(start)), components(step))

    def margin(points):
        local = points - np.asarray(solid.centre)
        x = 0.6 * local[..., 0] + 0.8 * local[..., 1]
        y = 0.6 * local[..., 1] - 0.8 * local[..., 0]
        order = axis_last((x, y, local[..., 2]), axis)
        return margin_frustum(0.5, solid.radii, np.stack(order, -1))

    check_against_marching(found, start, step, margin)


def test_bounds_hold_their_solid():
    """Random points of a solid lie in its sphere and in its upright box."""
    random = np.random.default_rng(9)
    solids = [
        Primitive(Shape.BOX, (1.0, 2.0, 3.0), (0.5, 0.2, 0.3), (0.6, 0.8), GREY, Kind.BED),
        Primitive(Shape.ELLIPSOID, (0.0, 0.0, 0.0), (0.5, 0.2, 0.9), (0.8, -0.6), GREY, Kind.BED),
    ]
    bounds = Bounds.of(solids)
    for number, solid in enumerate(solids):
        local = random.uniform(-1, 1, (4000, 3)) * solid.half
        margin = margin_box if solid.shape is Shape.BOX else margin_ellipsoid
        local = local[margin(solid.half, local) >= 0]
        cosine, sine = solid.turn
        x = cosine * local[:, 0] - sine * local[:, 1]
        y = sine * local[:, 0] + cosine * local[:, 1]
        offset = np.stack([x, y, local[:, 2]], -1)
        assert (np.linalg.norm(offset, axis=1) <= bounds.radius[number] + 1e-9).all()
        assert (np.abs(offset) <= bounds.extent[number] + 1e-9).all()
        assert bounds.centre[number].tolist() == list(solid.centre)
