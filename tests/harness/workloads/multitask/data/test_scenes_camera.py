"""Whole renderings of hand-made rooms, against closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harness.workloads.multitask.data.scenes.building import render
from harness.workloads.multitask.data.scenes.camera import Camera
from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.materials import plain
from harness.workloads.multitask.data.scenes.raycast import ROOM, cast, hit, offset_from
from harness.workloads.multitask.data.scenes.rng import Rng
from harness.workloads.multitask.data.scenes.room import make_room
from harness.workloads.multitask.data.scenes.scene import Light, Opening, RenderedView, Scene
from harness.workloads.multitask.data.scenes.shading import (
    _CASTS_NO_SHADOW,
    _occluded,
    _rays_to_lamp,
    gather,
    illuminate,
)
from harness.workloads.multitask.data.scenes.style import building_style
from harness.workloads.multitask.data.scenes.survey import survey
from harness.workloads.multitask.data.scenes.viewpoint import choose_camera, propose_camera

GREY = plain((0.5, 0.5, 0.5))
STYLE = building_style(1, 0)


def empty_room(size=(4.0, 6.0, 3.0)):
    return Scene(size, STYLE, (GREY,) * 6)


def camera_towards(cosine, sine, position=(0.0, 0.0, 1.5), tan_half_fov=0.5):
    """A level camera looking along (cosine, sine)."""
    return Camera(
        position, (sine, -cosine, 0.0), (0.0, 0.0, -1.0), (cosine, sine, 0.0), tan_half_fov, 5
    )


def test_wall_straight_ahead_has_one_depth_and_one_normal():
    """Facing a wall at 2 m every pixel has z-depth 2000 mm and the normal points at the camera."""
    labels = render(empty_room(), camera_towards(1.0, 0.0), 32)
    assert (labels["d"] == 2000).all()
    assert (labels["s"] == Kind.WALL).all()
    assert (labels["n"] == [0, 0, -127]).all()
    assert not labels["e"].any()
    assert not labels["c"].any()


def test_reshading_of_a_wall_is_the_cosine_law():
    """Straight ahead the plaster label is cos(angle)/(1 + 0.02 d²) of each pixel's rays."""
    labels = render(empty_room(), camera_towards(1.0, 0.0), 32)
    steps = ((np.arange(64) + 0.5) / 32 - 1) * 0.5
    square = steps[:, None] ** 2 + steps[None, :] ** 2
    fine = 1 / np.sqrt(1 + square) / (1 + 0.02 * 4)
    expected = fine.reshape(32, 2, 32, 2).mean((1, 3)) * 255
    assert np.abs(labels["r"] - expected).max() < 0.51


def test_oblique_wall_has_the_depth_of_the_plane():
    """At an angle the depth is the distance to the plane over the ray's component across it."""
    camera = camera_towards(0.8, 0.6, (0.0, 0.0, 4.0))
    hits = cast(empty_room((4.0, 40.0, 8.0)), camera, 16)
    u = ((np.arange(16) + 0.5) / 8 - 1) * 0.5
    expected = 2.0 / (0.8 + u * 0.6)  # forward + u · right has the x component 0.8 + 0.6 u
    assert hits.depth == pytest.approx(np.tile(expected, (16, 1)), rel=1e-5)
    assert (hits.solid == ROOM).all()


def test_left_is_left_and_up_is_up():
    """Looking along +x, walls at the sides, floor below and ceiling above lie where they must."""
    labels = render(empty_room((9.0, 2.0, 3.0)), camera_towards(1.0, 0.0, tan_half_fov=1.0), 32)
    middle = 16
    assert labels["s"][-1, middle] == Kind.FLOOR
    assert labels["s"][0, middle] == Kind.CEILING
    assert labels["s"][middle, 0] == labels["s"][middle, -1] == Kind.WALL
    assert labels["n"][-1, middle].tolist() == [0, -127, 0]  # the floor's normal is up: -down
    assert labels["n"][0, middle].tolist() == [0, 127, 0]
    assert labels["n"][middle, 0].tolist() == [127, 0, 0]  # the left wall looks to the right
    assert labels["n"][middle, -1].tolist() == [-127, 0, 0]


def test_floor_depth_follows_from_camera_height():
    """A ray going down by v per metre meets the floor at z-depth height / v."""
    camera = camera_towards(1.0, 0.0, (-8.0, 0.0, 1.2))
    hits = cast(empty_room((20.0, 20.0, 3.0)), camera, 32)
    v = ((np.arange(32) + 0.5) / 16 - 1) * 0.5
    rows = v > 1.2 / 17
    assert rows.sum() > 10
    assert hits.depth[rows, 16] == pytest.approx(1.2 / v[rows], rel=1e-5)


def test_a_ball_has_its_closed_form_curvature_depth_and_class():
    """A ball of 0.5 m 2 m ahead: nearest point at 1.5 m, both curvatures 2/m in the label."""
    scene = empty_room((8.0, 8.0, 3.0))
    RenderedView(scene, (0.0, 0.0, 0.0)).ellipsoid(
        (2.0, 0.0, 1.5), (0.5, 0.5, 0.5), GREY, Kind.PLANT
    )
    labels = render(scene, camera_towards(1.0, 0.0), 64)
    assert labels["d"].min() == pytest.approx(1500, abs=1)
    ball = labels["s"] == Kind.PLANT
    # The silhouette is the circle of tan(asin(0.5/2)) around the middle.
    radius_px = 32 * 0.25 / np.sqrt(1 - 0.25**2) / 0.5
    assert ball.sum() == pytest.approx(np.pi * radius_px**2, rel=0.04)
    inner = labels["c"][26:38, 26:38].astype(int)
    assert np.abs(inner - 127 * 2 / (2 + 5)).max() <= 1


def test_nearer_things_hide_farther_ones():
    """Of two boxes in a row the nearer is seen, in whichever order they were placed."""
    for order in ((1.0, 2.0), (2.0, 1.0)):
        scene = empty_room((8.0, 8.0, 3.0))
        for x in order:
            kind = Kind.CHAIR if x == 1.0 else Kind.SOFA
            RenderedView(scene, (x, 0.0, 1.5)).box((0, 0, 0), (0.1, 0.1, 0.1), GREY, kind)
        labels = render(scene, camera_towards(1.0, 0.0), 16)
        assert labels["s"][8, 8] == Kind.CHAIR
        assert labels["d"][8, 8] == 900


def test_screen_rectangles_lose_nothing():
    """Casting rectangle by rectangle sees what testing every ray with every solid sees."""
    for building in range(4):
        scene = make_room(1, building, 0, building_style(1, building))
        camera = choose_camera(scene, 1, building, 0, 0)
        hits = cast(scene, camera, 24)
        depth, solid = survey(scene, camera, 24)
        same = hits.solid.ravel() == solid
        # Coplanar faces may go either way; depth must agree all the same.
        assert same.mean() > 0.99
        assert hits.depth.ravel() == pytest.approx(depth, rel=1e-4)


def floor_light(scene):
    """Light on the floor seen from above, without the ambient part; and where the points are."""
    camera = Camera((0.0, 0.0, 1.9), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), 1.0, 3)
    dark = dataclasses.replace(scene, lights=[], sun=None)
    points = gather(scene, camera, cast(scene, camera, 32))
    gain = illuminate(scene, points, 3)[0] - illuminate(dark, points, 3)[0]
    x, y, z = points.position
    return x, y, z, gain


def test_a_box_casts_the_shadow_of_a_point_lamp():
    """Under a box the floor is dark out to where the ray past its upper edge lands."""
    scene = empty_room((6.0, 6.0, 3.0))
    scene.lights.append(Light((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), 1.0, 0.0))
    RenderedView(scene, (0.0, 0.0, 0.4)).box((0, 0, 0), (0.3, 0.3, 0.1), GREY, Kind.TABLE)
    x, y, z, gain = floor_light(scene)
    floor = z < 0.01
    reach = 0.3 * 1.0 / (1.0 - 0.5)  # upper edge at 0.5 m under a lamp at 1 m
    out = np.maximum(np.abs(x), np.abs(y))
    assert (floor & (out < reach - 0.01)).sum() > 4  # the rim of the shadow shows past the box
    assert not gain[floor & (out < reach - 0.01)].any()
    assert (gain[floor & (out > reach + 0.01)] > 0).all()


def test_lamp_light_follows_distance_and_angle():
    """On an open floor the gain is albedo · cos · 4 P / (1 + 1.2 d²)."""
    scene = empty_room((6.0, 6.0, 3.0))
    scene.lights.append(Light((0.0, 0.0, 2.0), (1.0, 1.0, 1.0), 1.5, 0.0))
    x, y, z, gain = floor_light(scene)
    flat = (z < 1e-3) & (np.maximum(np.abs(x), np.abs(y)) < 2.5)
    square = x**2 + y**2 + (2.0 - 0.004) ** 2
    cosine = (2.0 - 0.004) / np.sqrt(square)
    material = gain[flat] / (cosine * 4 * 1.5 / (1 + 1.2 * square))[flat]
    # Plain grey is mottled between 0.5 and 0.5 · (1 - 0.4 · 0.08).
    assert material.max() <= 0.5 + 1e-3
    assert material.min() >= 0.5 * (1 - 0.4 * 0.08) - 1e-3


def test_sun_shines_through_the_window_only():
    """A low sun draws the window on the floor, displaced along its rays."""
    scene = empty_room((6.0, 6.0, 3.0))
    scene.windows.append(Opening(wall=0, along=0.0, height=1.5, half_width=0.5, half_height=0.4))
    scene.sun = (-0.8, 0.0, 0.6)
    x, y, z, gain = floor_light(scene)
    floor = z < 1e-3
    height_at_window = (x + 3.0) * 0.6 / 0.8
    lit = (np.abs(y) < 0.5) & (np.abs(height_at_window - 1.5) < 0.4)
    edge = (np.abs(np.abs(y) - 0.5) < 0.01) | (np.abs(np.abs(height_at_window - 1.5) - 0.4) < 0.01)
    clear = floor & ~edge
    assert (lit & clear).sum() > 5
    assert ((gain > 0) == lit)[clear].all()


def test_proposed_cameras_are_orthonormal_and_inside():
    """All axes have unit length and right angles, and the camera stands in the room."""
    scene = make_room(1, 5, 0, building_style(1, 5))
    for candidate in range(40):
        camera = propose_camera(scene, Rng(8, candidate))
        axes = np.array([camera.right, camera.down, camera.forward])
        assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(axes) == pytest.approx(1.0)
        x, y, z = camera.position
        assert abs(x) < scene.size[0] / 2
        assert abs(y) < scene.size[1] / 2
        assert 0 < z < scene.size[2]


def test_all_fields_stay_single_precision():
    """No double sneaks into a per-ray field: results would then depend on where it did."""
    for building in range(6):
        scene = make_room(1, building, 1, building_style(1, building))
        camera = choose_camera(scene, 1, building, 1, 0)
        hits = cast(scene, camera, 16)
        points = gather(scene, camera, hits)
        light = illuminate(scene, points, 1)
        fields = [hits.depth, *hits.direction, *points.position, *points.view, *light]
        assert {field.dtype for field in fields} == {np.dtype(np.float32)}


def test_culling_by_cones_loses_no_shadow():
    """In furnished rooms, testing every solid against every ray finds the same shadows."""
    shadowed = 0
    for building in range(4):
        scene = make_room(1, building, 0, building_style(1, building))
        camera = choose_camera(scene, 1, building, 0, 0)
        points = gather(scene, camera, cast(scene, camera, 32))
        for lamp in scene.lights:
            to_lamp, start = _rays_to_lamp(points, lamp, 5)
            expected = np.zeros(32 * 32, bool)
            for solid in scene.primitives:
                if solid.radius >= 0.09 and solid.kind not in _CASTS_NO_SHADOW:
                    expected |= hit(solid, offset_from(solid, start), to_lamp) < 1
            found = _occluded(scene, lamp, start, to_lamp)
            # Rays that graze a bounding sphere may differ in the last bit of the cone test.
            assert (found != expected).sum() <= 2
            shadowed += int(expected.sum())
    assert shadowed > 100
