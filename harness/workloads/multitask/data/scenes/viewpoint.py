"""Place the camera in a room and pick the pose that sees most."""

from __future__ import annotations

import math

import numpy as np

from harness.workloads.multitask.data.scenes.camera import Camera
from harness.workloads.multitask.data.scenes.rng import Rng
from harness.workloads.multitask.data.scenes.scene import Scene
from harness.workloads.multitask.data.scenes.survey import survey
from harness.workloads.multitask.data.scenes.vectors import Point, Turn, cross

_CANDIDATES = 4
_POSITION_TRIES = 24
_CLEARANCE_M = 0.25
_ABOVE_FURNITURE_M = 1.3
_TOO_NEAR_M = 0.6
_SURVEY_SIDE = 24


def choose_camera(scene: Scene, seed: int, building: int, room: int, view: int) -> Camera:
    """Return the best of a few random poses; among equals the first."""
    best: tuple[int, Camera] | None = None
    for candidate in range(_CANDIDATES):
        camera = propose_camera(scene, Rng(seed, 2, building, room, view, candidate))
        score = _score(scene, camera)
        if best is None or score > best[0]:
            best = (score, camera)
    assert best is not None
    return best[1]


def _score(scene: Scene, camera: Camera) -> int:
    """Count visible kinds (twice) and things, less what stands right before the lens."""
    depth, index = survey(scene, camera, _SURVEY_SIDE)
    counts = np.bincount((index + 1).ravel(), minlength=len(scene.primitives) + 1).tolist()
    kinds = {
        primitive.kind
        for primitive, count in zip(scene.primitives, counts[1:], strict=True)
        if count >= 4
    }
    near = int(np.count_nonzero(depth < _TOO_NEAR_M))
    things = len([count for count in counts if count >= 3])
    return 2 * len(kinds) + things - near // 20


def propose_camera(scene: Scene, rng: Rng) -> Camera:
    """Return a random pose at the building's camera height, clear of furniture if possible."""
    position = _position(scene, rng)
    heading = _heading(scene, rng, position)
    cosine, sine = _half_angle_turn(rng.bell(scene.style.camera_pitch, 0.12))
    forward = (cosine * heading[0], cosine * heading[1], -sine)
    right = (heading[1], -heading[0], 0.0)
    down = cross(forward, right)
    cosine, sine = _half_angle_turn(rng.bell(0.0, 0.03))
    return Camera(
        position=position,
        right=_mix(right, cosine, down, sine),
        down=_mix(right, -sine, down, cosine),
        forward=forward,
        tan_half_fov=scene.style.tan_half_fov * rng.uniform(0.9, 1.1),
        seed=rng.integer(0, 1 << 30),
    )


def _half_angle_turn(tangent: float) -> Turn:
    """Return (cosine, sine) of the angle whose half has the given tangent, in exact steps."""
    square = tangent * tangent
    return (1 - square) / (1 + square), 2 * tangent / (1 + square)


def _mix(first: Point, weight: float, second: Point, other_weight: float) -> Point:
    return (
        weight * first[0] + other_weight * second[0],
        weight * first[1] + other_weight * second[1],
        weight * first[2] + other_weight * second[2],
    )


def _position(scene: Scene, rng: Rng) -> Point:
    """Return the first position clear of furniture, or the first tried if none is."""
    width, depth, height = scene.size
    first: Point | None = None
    for _ in range(_POSITION_TRIES):
        x = rng.uniform(-1.0, 1.0) * (width / 2 - 0.25)
        y = rng.uniform(-1.0, 1.0) * (depth / 2 - 0.25)
        z = max(0.15, rng.bell(scene.style.camera_height_m, 0.1))
        position = (x, y, min(height - 0.15, z))
        first = first or position
        clearance = min(
            (
                max(abs(x - spot.x) - spot.half_x, abs(y - spot.y) - spot.half_y)
                for spot in scene.footprints
            ),
            default=1.0,
        )
        needed = 0.0 if position[2] > _ABOVE_FURNITURE_M else _CLEARANCE_M
        if clearance > needed:
            return position
    assert first is not None
    return first


def _heading(scene: Scene, rng: Rng, position: Point) -> Turn:
    """Look at a piece of furniture, or into the room."""
    if scene.footprints and rng.chance(0.6):
        spot = rng.pick(scene.footprints)
        x = spot.x - position[0] + rng.uniform(-0.4, 0.4)
        y = spot.y - position[1] + rng.uniform(-0.4, 0.4)
        length = math.sqrt(x * x + y * y)
        if length > 0.3:
            return x / length, y / length
        return rng.direction()
    cosine, sine = rng.direction()
    outwards = position[0] * cosine + position[1] * sine > 0
    return (-cosine, -sine) if outwards and rng.chance(0.7) else (cosine, sine)
