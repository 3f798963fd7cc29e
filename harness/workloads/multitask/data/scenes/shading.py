"""Turn hits into light: materials, lamps with soft shadows, sun patches, highlights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.workloads.multitask.data.scenes.camera import Camera
from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.materials import Material
from harness.workloads.multitask.data.scenes.noise import cell_noise
from harness.workloads.multitask.data.scenes.primitives import Primitive
from harness.workloads.multitask.data.scenes.raycast import ROOM, Hits, hit, offset_from
from harness.workloads.multitask.data.scenes.scene import Light, Opening, Scene
from harness.workloads.multitask.data.scenes.surface import Surface, box_surface, surface_of
from harness.workloads.multitask.data.scenes.textures import paint
from harness.workloads.multitask.data.scenes.vectors import (
    BoolArray,
    ByteArray,
    Field,
    FloatArray,
    IntArray,
    Point,
    dot,
    to_local,
)

_CORNER_BEVEL_M = 0.05
_SHADOW_OFFSET_M = 0.004
_SMALLEST_CASTER_M = 0.09
_CASTS_NO_SHADOW = (Kind.LAMP, Kind.WINDOW, Kind.DOOR, Kind.PICTURE)
_SUN_COLOUR = (1.0, 0.93, 0.8)
_SKY_COLOUR = (1.0, 0.98, 0.94)
_SHELL_KINDS = (Kind.WALL, Kind.WALL, Kind.WALL, Kind.WALL, Kind.FLOOR, Kind.CEILING)


@dataclass(frozen=True)
class Points:
    """Hold the surface seen by each of n rays; one array element per ray.

    Attributes:
        position: World position in metres.
        normal: Unit normal, world axes.
        k1: Larger principal curvature in 1/m.
        k2: Smaller one.
        kind: Semantic class, uint8.
        colour: Linear surface colour, shape (n, 3).
        gloss: Strength of highlights.
        emission: Share of own light.
        view: Unit vector towards the camera.
    """

    position: Field
    normal: Field
    k1: FloatArray
    k2: FloatArray
    kind: ByteArray
    colour: FloatArray
    gloss: FloatArray
    emission: FloatArray
    view: Field


def _empty(count: int) -> FloatArray:
    return np.zeros(count, np.float32)


def _take(vector: Field, chosen: IntArray) -> Field:
    return vector[0][chosen], vector[1][chosen], vector[2][chosen]


def gather(scene: Scene, camera: Camera, hits: Hits) -> Points:
    """Look up what each ray of an image has hit, primitive by primitive."""
    depth = hits.depth.ravel()
    x, y, z = (component.ravel() for component in hits.direction)
    direction = (x, y, z)
    start = camera.position
    position = (start[0] + depth * x, start[1] + depth * y, start[2] + depth * z)
    scale = 1 / np.sqrt(dot(direction, direction))
    count = depth.size
    points = Points(
        position=position,
        normal=(_empty(count), _empty(count), _empty(count)),
        k1=_empty(count),
        k2=_empty(count),
        kind=np.zeros(count, np.uint8),
        colour=np.zeros((count, 3), np.float32),
        gloss=_empty(count),
        emission=_empty(count),
        view=(-x * scale, -y * scale, -z * scale),
    )
    # Detail of a few centimetres fades where one pixel covers that much.
    blur = depth * (120 * camera.tan_half_fov / hits.depth.shape[0])
    fade = 1 / (1 + blur * blur)
    index = hits.solid.ravel()
    order = np.argsort(index, kind="stable")
    numbers, starts = np.unique(index[order], return_index=True)
    for number, chosen in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        if number == ROOM:
            _fill_shell(points, scene, chosen, fade)
        else:
            _fill_primitive(points, scene.primitives[number], chosen, fade)
    return points


def _fill_geometry(points: Points, chosen: IntArray, surface: Surface) -> None:
    for target, values in zip(points.normal, surface.normal, strict=True):
        target[chosen] = values
    points.k1[chosen] = surface.k1
    points.k2[chosen] = surface.k2


def _fill_look(
    points: Points,
    chosen: IntArray,
    material: Material,
    kind: Kind,
    place: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    points.colour[chosen] = paint(material, *place)
    points.kind[chosen] = kind
    points.gloss[chosen] = material.gloss
    points.emission[chosen] = material.emission


def _fill_shell(points: Points, scene: Scene, chosen: IntArray, fade: FloatArray) -> None:
    """Describe walls, floor and ceiling: the inside of one large box."""
    half = (scene.size[0] / 2, scene.size[1] / 2, scene.size[2] / 2)
    x, y, z = _take(points.position, chosen)
    local = (x, y, z - half[2])
    surface = box_surface(half, _CORNER_BEVEL_M, local, inside=True)
    _fill_geometry(points, chosen, surface)
    to_face = [gap for h, p in zip(half, local, strict=True) for gap in (p + h, h - p)]
    face = np.argmin(np.stack(to_face), axis=0)
    for side, (material, kind) in enumerate(zip(scene.shell, _SHELL_KINDS, strict=True)):
        on_side = np.flatnonzero(face == side)
        if on_side.size:
            rays = chosen[on_side]
            place = (surface.u[on_side], surface.v[on_side], fade[rays])
            _fill_look(points, rays, material, kind, place)


def _fill_primitive(
    points: Points, primitive: Primitive, chosen: IntArray, fade: FloatArray
) -> None:
    x, y, z = offset_from(primitive, _take(points.position, chosen))
    local_x, local_y = to_local(primitive.turn, x, y)
    local: Field = (np.asarray(local_x), np.asarray(local_y), np.asarray(z))
    surface = surface_of(primitive, local)
    cosine, sine = primitive.turn
    x, y, z = surface.normal
    turned = (x * cosine - y * sine, x * sine + y * cosine, z)
    _fill_geometry(points, chosen, surface._replace(normal=turned))
    place = (surface.u, surface.v, fade[chosen])
    _fill_look(points, chosen, primitive.material, primitive.kind, place)


def illuminate(scene: Scene, points: Points, seed: int) -> list[FloatArray]:
    """Return linear red, green and blue of each point, before exposure."""
    light = _ambient(scene, points)
    highlight = _empty(points.gloss.size)
    for number, lamp in enumerate(scene.lights):
        _add_lamp(scene, points, lamp, seed + number, light, highlight)
    if scene.sun is not None:
        patch = _sun_patch(scene, scene.sun, points)
        for channel, tint in enumerate(_SUN_COLOUR):
            light[channel] += patch * tint
    shine = highlight * points.gloss * 0.5
    reflecting = 1 - np.minimum(points.emission, 1)
    glow = points.emission * 5
    return [points.colour[:, k] * (light[k] * reflecting + glow) + shine for k in range(3)]


def _ambient(scene: Scene, points: Points) -> list[FloatArray]:
    """Return sky light, weaker near walls, floor and ceiling: a cheap ambient occlusion."""
    width, depth, height = scene.size
    x, y, z = points.position
    to_wall = np.minimum(np.minimum(width / 2 - np.abs(x), depth / 2 - np.abs(y)), 1.0)
    to_floor = np.minimum(z, height - z)
    openness = 0.55 + 0.45 * np.minimum(to_wall * 2, 1)
    openness = openness * (0.6 + 0.4 * np.minimum(to_floor * 3, 1))
    openness = openness * (0.8 + 0.2 * points.normal[2])
    return [openness * (scene.style.ambient * tint) for tint in _SKY_COLOUR]


def _add_lamp(
    scene: Scene,
    points: Points,
    lamp: Light,
    seed: int,
    light: list[FloatArray],
    highlight: FloatArray,
) -> None:
    """Add the light and the highlight of one lamp where it is seen from the surface."""
    to_lamp, rays = _rays_to_lamp(points, lamp, seed)
    facing = np.flatnonzero(dot(points.normal, to_lamp) > 0)
    lit = facing[~_occluded(scene, lamp, _take(rays, facing), _take(to_lamp, facing))]
    beam = _take(to_lamp, lit)
    normal = _take(points.normal, lit)
    view = _take(points.view, lit)
    square = dot(beam, beam)
    scale = 1 / np.sqrt(square + 1e-6)
    beam = (beam[0] * scale, beam[1] * scale, beam[2] * scale)
    strength = np.maximum(dot(normal, beam), 0) * ((4 * lamp.power) / (1 + square * 1.2))
    for channel, tint in zip(light, lamp.colour, strict=True):
        channel[lit] += strength * tint
    halfway = (beam[0] + view[0], beam[1] + view[1], beam[2] + view[2])
    cosine = np.maximum(dot(normal, halfway) / np.sqrt(dot(halfway, halfway) + 1e-6), 0)
    for _ in range(5):  # to the power of 32
        cosine = cosine * cosine
    highlight[lit] += cosine * lamp.power


def _rays_to_lamp(points: Points, lamp: Light, seed: int) -> tuple[Field, Field]:
    """Return vectors to a random point of the lamp and the points they start from.

    One jittered sample per ray: the grain of the soft shadow is part of the camera noise.
    """
    x, y, z = (
        position + normal * _SHADOW_OFFSET_M
        for position, normal in zip(points.position, points.normal, strict=True)
    )
    start = (x, y, z)
    number = np.arange(x.size, dtype=np.int32)
    first, second, third = (
        (cell_noise(number, axis, seed) * 2 - 1) * lamp.radius + lamp.position[axis] - start[axis]
        for axis in range(3)
    )
    return (first, second, third), start


def _occluded(scene: Scene, lamp: Light, start: Field, to_lamp: Field) -> BoolArray:
    """Tell which rays from surface points to the lamp something stands in the way of.

    Seen from the lamp every solid lies in a cone around its bounding sphere; only points inside
    that cone and behind the solid are tested.
    """
    x, y, z = (s - centre for s, centre in zip(start, lamp.position, strict=True))
    distance = np.sqrt(dot((x, y, z), (x, y, z))) + 1e-6
    inverse = 1 / distance
    outward = (x * inverse, y * inverse, z * inverse)
    blocked = np.zeros(distance.size, np.bool_)
    for primitive in scene.primitives:
        radius = primitive.radius + lamp.radius
        if primitive.radius < _SMALLEST_CASTER_M or primitive.kind in _CASTS_NO_SHADOW:
            continue
        candidates = _in_cone(primitive.centre, radius, lamp, outward, distance)
        candidates &= ~blocked
        chosen = np.flatnonzero(candidates)
        if chosen.size:
            offset = offset_from(primitive, _take(start, chosen))
            t = hit(primitive, offset, _take(to_lamp, chosen))
            blocked[chosen[t < 1]] = True
    return blocked


def _in_cone(
    centre: Point, radius: float, lamp: Light, outward: Field, distance: FloatArray
) -> BoolArray:
    """Tell which points a sphere may hide from the lamp."""
    x, y, z = (c - p for c, p in zip(centre, lamp.position, strict=True))
    length = math.sqrt(x * x + y * y + z * z)
    if length <= radius * 1.02:
        return np.ones(distance.size, np.bool_)
    ratio = radius / length
    cosine = math.sqrt(1 - ratio * ratio)
    toward = dot(outward, (x / length, y / length, z / length))
    inside: BoolArray = toward > cosine
    inside &= distance > length - radius
    return inside


def _sun_patch(scene: Scene, sun: Point, points: Points) -> FloatArray:
    """Return direct sunlight: what comes straight through a window; furniture is ignored."""
    patch = np.zeros(points.gloss.size, np.bool_)
    for window in scene.windows:
        patch |= _through_window(scene, window, sun, points.position)
    strength = np.maximum(dot(points.normal, sun), 0) * 2.6
    return np.where(patch, strength, np.float32(0))


def _through_window(scene: Scene, window: Opening, sun: Point, position: Field) -> BoolArray:
    axis, other = (0, 1) if window.wall < 2 else (1, 0)
    if abs(sun[axis]) < 1e-6:
        return np.zeros(position[0].size, np.bool_)
    wall = scene.size[axis] / 2 * (-1 if window.wall in (0, 2) else 1)
    t = (wall - position[axis]) * (1 / sun[axis])
    aside = np.abs(position[other] + t * sun[other] - window.along)
    up = np.abs(position[2] + t * sun[2] - window.height)
    return (t > 0) & (aside < window.half_width) & (up < window.half_height)
