"""Normals and curvatures of the solids, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.materials import plain
from harness.workloads.multitask.data.scenes.primitives import Primitive, Shape
from harness.workloads.multitask.data.scenes.surface import (
    box_surface,
    ellipsoid_surface,
    surface_of,
)

GREY = plain((0.5, 0.5, 0.5))


def arrays(*points):
    columns = np.asarray(points, np.float32).T
    return columns[0], columns[1], columns[2]


def test_sphere_has_curvature_one_over_radius():
    """Both principal curvatures of a sphere are 1/r everywhere, normals point outwards."""
    radius = 0.4
    random = np.random.default_rng(1)
    unit = random.normal(size=(50, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    surface = ellipsoid_surface((radius, radius, radius), arrays(*(unit * radius)))
    # The discriminant of two equal roots loses half of the digits of float32.
    assert surface.k1 == pytest.approx(1 / radius, rel=2e-3)
    assert surface.k2 == pytest.approx(1 / radius, rel=2e-3)
    assert np.stack(surface.normal, -1) == pytest.approx(unit, abs=1e-5)


def test_ellipsoid_at_its_poles():
    """At the end of the axis c the curvatures are c/a² and c/b², larger first."""
    a, b, c = 0.5, 0.8, 0.3
    surface = ellipsoid_surface((a, b, c), arrays((0, 0, c), (a, 0, 0)))
    assert surface.k1 == pytest.approx([c / a**2, a / c**2], rel=1e-4)
    assert surface.k2 == pytest.approx([c / b**2, a / b**2], rel=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cylinder_is_curved_one_way(axis):
    """A cylinder has curvatures 1/r and 0 on its mantle and none on its caps."""
    radius, half_height = 0.25, 0.6
    half = [radius] * 3
    half[axis] = half_height
    solid = Primitive(
        Shape.FRUSTUM, (0, 0, 0), tuple(half), (1, 0), GREY, Kind.LAMP, axis=axis,
        radii=(radius, radius),
    )  # fmt: skip
    others = [k for k in range(3) if k != axis]
    mantle, cap = np.zeros(3), np.zeros(3)
    mantle[others[0]], mantle[axis] = radius, 0.1
    cap[others[1]], cap[axis] = 0.1, -half_height
    surface = surface_of(solid, arrays(mantle, cap))
    assert surface.k1 == pytest.approx([1 / radius, 0], rel=1e-5)
    assert surface.k2 == pytest.approx([0, 0])
    normals = np.stack(surface.normal, -1)
    assert normals[0] == pytest.approx(np.eye(3)[others[0]], abs=1e-6)
    assert normals[1] == pytest.approx(-np.eye(3)[axis], abs=1e-6)


def test_cone_normal_is_perpendicular_to_its_mantle():
    """On a cone the normal is at right angles to the line from tip to rim and to the circle."""
    low, high, half_height = 0.5, 0.2, 0.4
    solid = Primitive(
        Shape.FRUSTUM, (0, 0, 0), (low, low, half_height), (1, 0), GREY, Kind.LAMP,
        radii=(low, high),
    )  # fmt: skip
    mean = (low + high) / 2
    surface = surface_of(solid, arrays((0.6 * mean, 0.8 * mean, 0.0)))
    normal = np.stack(surface.normal, -1)[0].astype(float)
    generator = np.array([0.6 * (high - low), 0.8 * (high - low), 2 * half_height])
    assert normal @ generator == pytest.approx(0, abs=1e-6)
    assert normal @ np.array([-0.8, 0.6, 0.0]) == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(normal) == pytest.approx(1, abs=1e-6)
    slope = (high - low) / (2 * half_height)
    assert surface.k1 == pytest.approx([1 / (mean * np.sqrt(1 + slope**2))], rel=1e-5)


def test_box_faces_are_flat_away_from_edges():
    """In the middle of each face the normal is the axis and both curvatures vanish."""
    half = (0.6, 0.7, 0.8)
    points = [(0.6, 0, 0), (-0.6, 0, 0), (0, 0.7, 0), (0, -0.7, 0), (0, 0, 0.8), (0, 0, -0.8)]
    expected = np.array(points) / np.array([0.6, 0.7, 0.8])
    outside = box_surface(half, 0.03, arrays(*points))
    assert np.stack(outside.normal, -1) == pytest.approx(expected, abs=1e-6)
    assert not outside.k1.any()
    assert not outside.k2.any()
    inside = box_surface(half, 0.03, arrays(*points), inside=True)
    assert np.stack(inside.normal, -1) == pytest.approx(-expected, abs=1e-6)


def test_edges_bulge_outside_and_corners_of_rooms_are_hollow():
    """Edges have k1 > 0 seen from outside, k2 < 0 seen from within, and bent unit normals."""
    half = (1.0, 1.0, 1.0)
    edge = arrays((1.0, 0.999, 0.0))
    outside = box_surface(half, 0.03, edge)
    inside = box_surface(half, 0.03, edge, inside=True)
    assert outside.k1[0] > 5
    assert outside.k2[0] == 0
    assert inside.k1[0] == 0
    assert inside.k2[0] < -5
    for surface, sign in ((outside, 1), (inside, -1)):
        normal = np.stack(surface.normal, -1)[0]
        assert np.linalg.norm(normal) == pytest.approx(1, abs=1e-6)
        assert sign * normal[0] > 0.6
        assert sign * normal[1] > 0.6


def test_fillet_turns_through_the_same_angle_whatever_its_width():
    """Integrated across both faces of an edge, the curvature is 1.5 rad: about a right angle."""
    for half in ((1.0, 1.0, 1.0), (0.1, 0.1, 1.0)):
        gap = (np.arange(4000) + 0.5) / 4000 * half[1]
        points = (np.full(4000, half[0]), half[1] - gap, np.zeros(4000))
        surface = box_surface(half, 0.01, tuple(p.astype(np.float32) for p in points))
        integral = surface.k1.astype(float).mean() * half[1]
        assert 2 * integral == pytest.approx(1.5, rel=1e-2)


@pytest.mark.parametrize("inside", [False, True])
def test_larger_curvature_comes_first(inside):
    """k1 >= k2 all over a box."""
    random = np.random.default_rng(3)
    points = random.uniform(-1, 1, (500, 3))
    points[np.arange(500), random.integers(0, 3, 500)] = 1.0
    surface = box_surface((1.0, 1.0, 1.0), 0.03, arrays(*points), inside)
    assert (surface.k1 >= surface.k2).all()
