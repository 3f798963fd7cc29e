"""Fit doors, windows, curtains, pictures and ceiling lamps to a room; metres."""

from __future__ import annotations

import math

from harness.workloads.multitask.data.scenes.builder import Builder
from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.layout import WALLS, RoomLayout
from harness.workloads.multitask.data.scenes.materials import Material, plain
from harness.workloads.multitask.data.scenes.scene import Opening, RenderedView
from harness.workloads.multitask.data.scenes.vectors import Point

_SIDES = (-1, 1)
_SKY = (0.75, 0.85, 1.0)
_TREES = (0.45, 0.55, 0.4)
_DAYLIGHT = (0.8, 0.9, 1.0)
_DARK_ROOMS = ("corridor", "storage")
_CEILING_GLOW = plain((1.0, 0.97, 0.9), glow=1.0)


def add_doors(builder: Builder, layout: RoomLayout) -> None:
    """Hang one door, sometimes two."""
    for _ in range(1 + builder.rng.chance(0.25)):
        wall = builder.rng.integer(0, WALLS)
        along = layout.wall_slot(wall, 1.0)
        if along is not None:
            _add_door(builder, layout.wall_frame(wall, along))


def _add_door(builder: Builder, frame: RenderedView) -> None:
    leaf = builder.own_material(("wood", "plain", "panel"))
    casing = builder.any_material(gloss=0.1, saturation=0.3)
    frame.box((0, -0.01, 1.0), (0.42, 0.025, 1.0), leaf, Kind.DOOR, bevel=0.02)
    for side in _SIDES:
        frame.box((side * 0.46, -0.015, 1.02), (0.045, 0.04, 1.02), casing, Kind.DOOR)
    frame.box((0, -0.015, 2.06), (0.5, 0.04, 0.045), casing, Kind.DOOR)
    frame.ellipsoid((0.34, -0.06, 1.0), (0.03, 0.03, 0.03), casing, Kind.DOOR)


def add_windows(builder: Builder, layout: RoomLayout, room_type: str) -> None:
    """Cut up to two windows, one in corridors and storage rooms; daylight comes in."""
    rng = builder.rng
    height = builder.scene.size[2]
    for _ in range(rng.integer(0, 2 if room_type in _DARK_ROOMS else 3)):
        wall = rng.integer(0, WALLS)
        width = rng.uniform(0.7, 1.9)
        along = layout.wall_slot(wall, width)
        if along is None:
            continue
        half_height = min(0.75, height * 0.24) * rng.uniform(0.7, 1.1)
        frame = layout.wall_frame(wall, along)
        _add_window(builder, frame, (width / 2, half_height), height * 0.55)
        middle = frame.origin[1] if wall < 2 else frame.origin[0]
        opening = Opening(wall, middle, height * 0.55, width / 2, half_height)
        builder.scene.windows.append(opening)


def _add_window(
    builder: Builder, frame: RenderedView, half: tuple[float, float], height: float
) -> None:
    rng = builder.rng
    width, half_height = half
    seed = rng.integer(0, 1 << 20)
    view = Material("outside", _SKY, _TREES, contrast=1.0, emission=0.9, seed=seed)
    bar = builder.any_material(gloss=0.1, saturation=0.3)
    frame.box((0, 0, height), (width, 0.012, half_height), view, Kind.WINDOW, bevel=0.005)
    for column in (-1, 0, 1):
        at = (column * width, -0.01, height)
        frame.box(at, (0.025, 0.03, half_height), bar, Kind.WINDOW, bevel=0.01)
    for side in _SIDES:
        at = (0, -0.01, height + side * half_height)
        frame.box(at, (width + 0.025, 0.03, 0.025), bar, Kind.WINDOW, bevel=0.01)
    frame.light((0, -0.4, height), _DAYLIGHT, power=rng.uniform(0.5, 1.2), radius=0.35)
    if rng.chance(0.45):
        _add_curtains(builder, frame, half, height)


def _add_curtains(
    builder: Builder, frame: RenderedView, half: tuple[float, float], height: float
) -> None:
    cloth = builder.any_material(("plain", "stripes", "weave", "dots"))
    drop = min(half[1] + 0.25, height - 0.03)
    for side in _SIDES:
        for fold in range(3):
            at = (side * (half[0] + 0.02 + 0.07 * fold), -0.09, height)
            frame.frustum(at, (0.05, 0.05), drop, cloth, Kind.TEXTILE)


def add_pictures(builder: Builder, layout: RoomLayout) -> None:
    """Hang at most one picture on each wall, above low furniture if need be."""
    rng = builder.rng
    for wall in range(WALLS):
        if not rng.chance(builder.style.pictures * 0.8):
            continue
        width, height = rng.uniform(0.3, 0.9), rng.uniform(0.25, 0.6)
        along = rng.uniform(-1.0, 1.0) * (layout.wall_length(wall) / 2 - width / 2 - 0.2)
        if not layout.is_wall_free(wall, along, width, lowest=0.95):
            continue
        frame = layout.wall_frame(wall, along)
        z = rng.uniform(1.4, 1.8)
        canvas = builder.any_material(("painting",))
        frame.box((0, -0.01, z), (width / 2, 0.02, height / 2), canvas, Kind.PICTURE, bevel=0.008)
        if rng.chance(0.6):
            rim = builder.any_material(gloss=0.2, saturation=0.4)
            half = (width / 2 + 0.03, 0.015, height / 2 + 0.03)
            frame.box((0, -0.005, z), half, rim, Kind.PICTURE, bevel=0.01)


def add_ceiling_lamps(builder: Builder) -> None:
    """Hang one lamp in a small room, two in a large one, warm or cold as the building likes."""
    rng = builder.rng
    width, depth, height = builder.scene.size
    warmth = builder.style.warmth
    colour = (1.0, 0.92 - 0.1 * warmth, 0.82 - 0.25 * warmth)
    offsets = (0.0,) if width * depth < 14 else (-0.25, 0.25)
    for offset in offsets:
        x, y = (0.0, offset * depth) if depth >= width else (offset * width, 0.0)
        drop = rng.uniform(0.05, 0.6) if height > 2.4 else 0.05
        frame = RenderedView(builder.scene, (x, y, height - drop))
        _add_ceiling_lamp(builder, frame, drop)
        power = rng.uniform(0.8, 1.8)
        frame.light((0, 0, -0.25), colour, power, radius=0.15)


def _add_ceiling_lamp(builder: Builder, frame: RenderedView, drop: float) -> None:
    form = builder.rng.integer(0, 3)
    if drop > 0.2:
        cord = builder.any_material()
        frame.frustum((0, 0, drop / 2 + 0.05), (0.008, 0.008), drop / 2, cord, Kind.LAMP)
    if form == 0:
        frame.frustum((0, 0, 0), (0.22, 0.1), 0.09, _CEILING_GLOW, Kind.LAMP)
    elif form == 1:
        frame.ellipsoid((0, 0, 0), (0.15, 0.15, 0.13), _CEILING_GLOW, Kind.LAMP)
    else:
        frame.box((0, 0, 0), (0.5, 0.08, 0.03), _CEILING_GLOW, Kind.LAMP)


def sun_direction(builder: Builder) -> Point | None:
    """Return the unit vector towards a sun that shines through the first window, or None."""
    rng = builder.rng
    if not builder.scene.windows or not rng.chance(builder.style.sun):
        return None
    wall = builder.scene.windows[0].wall
    out = -1.0 if wall in (0, 2) else 1.0
    aside, up = rng.uniform(-0.7, 0.7), rng.uniform(0.4, 1.1)
    x, y = (out, aside) if wall < 2 else (aside, out)
    length = math.sqrt(x * x + y * y + up * up)
    return x / length, y / length, up / length
