"""Build one furnished room from a seed; metres."""

from __future__ import annotations

from harness.workloads.multitask.data.scenes.builder import Builder, palette_colour
from harness.workloads.multitask.data.scenes.catalogue import ITEMS, PLANS
from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.fittings import (
    add_ceiling_lamps,
    add_doors,
    add_pictures,
    add_windows,
    sun_direction,
)
from harness.workloads.multitask.data.scenes.layout import RoomLayout
from harness.workloads.multitask.data.scenes.materials import Colour, Material, darker
from harness.workloads.multitask.data.scenes.rng import Rng
from harness.workloads.multitask.data.scenes.scene import Footprint, RenderedView, Scene
from harness.workloads.multitask.data.scenes.small_things import add_clutter
from harness.workloads.multitask.data.scenes.storage import add_rug
from harness.workloads.multitask.data.scenes.style import ROOM_TYPES, Style
from harness.workloads.multitask.data.scenes.vectors import Point

_SIDE_M = {
    "living": (4.0, 6.5), "bedroom": (3.0, 5.0), "kitchen": (2.6, 4.5), "office": (3.0, 6.0),
    "bathroom": (1.9, 3.2), "dining": (3.2, 5.0), "corridor": (1.5, 2.2), "storage": (2.0, 4.0),
}  # fmt: skip
_CORRIDOR_LENGTH_M = (4.0, 8.0)
_CORRIDOR_DEPTH_M = 0.35
_CEILING_M = (2.2, 4.0)
_MOST_LIGHTS = 3  # each costs one shadow ray per sub-pixel


def make_room(seed: int, building: int, room: int, style: Style) -> Scene:
    """Build a room: shell, openings, furniture, pictures, clutter and light.

    Args:
        seed: Number of the world.
        building: Building the room is in.
        room: Number of the room in its building.
        style: Taste to build in, see `style.room_style`.
    """
    rng = Rng(seed, 1, building, room)
    room_type = _draw_type(rng, style)
    scene = Scene(_size(rng, style, room_type), style, _shell(rng, style, room_type))
    builder = Builder(rng, style, scene, scene.shell[0])
    layout = RoomLayout(scene, rng)
    add_doors(builder, layout)
    add_windows(builder, layout, room_type)
    _add_corner_block(builder, room_type)
    _furnish(builder, layout, room_type)
    add_pictures(builder, layout)
    _litter(builder, layout)
    add_ceiling_lamps(builder)
    scene.lights = sorted(scene.lights, key=lambda light: -light.power)[:_MOST_LIGHTS]
    scene.sun = sun_direction(builder)
    return scene


def type_of_room(seed: int, building: int, room: int, style: Style) -> str:
    """Return which of `ROOM_TYPES` `make_room` builds, without building it."""
    return _draw_type(Rng(seed, 1, building, room), style)


def _draw_type(rng: Rng, style: Style) -> str:
    return rng.weighted(ROOM_TYPES, style.room_weights)


def _size(rng: Rng, style: Style, room_type: str) -> Point:
    sides = _SIDE_M[room_type]
    lengths = _CORRIDOR_LENGTH_M if room_type == "corridor" else sides
    width = rng.uniform(*sides) * style.room_scale
    depth = rng.uniform(*lengths) * style.room_scale
    height = style.ceiling_m * rng.uniform(0.95, 1.05)
    return width, depth, max(_CEILING_M[0], min(_CEILING_M[1], height))


def _faded(rng: Rng, colour: Colour, low: float, high: float) -> Colour:
    """Darken each channel on its own."""
    return (
        colour[0] * rng.uniform(low, high),
        colour[1] * rng.uniform(low, high),
        colour[2] * rng.uniform(low, high),
    )


def _shell(rng: Rng, style: Style, room_type: str) -> tuple[Material, ...]:
    """Choose the materials of the four walls, the floor and the ceiling."""
    wall = _wall(rng, style, room_type)
    accent = _accent_wall(rng, style) if rng.chance(0.4) else wall
    second = accent if rng.chance(0.5) else wall
    return wall, second, wall, accent, _floor(rng, style, room_type), _ceiling(rng, style)


def _wall(rng: Rng, style: Style, room_type: str) -> Material:
    tiled = room_type == "bathroom" and rng.chance(0.7)
    texture = "tile" if tiled else rng.pick(style.wall_textures)
    colour = palette_colour(rng, style, lighter=0.15)
    return _covering(rng, style, texture, (colour, _faded(rng, colour, 0.4, 0.9)), gloss=0.05)


def _accent_wall(rng: Rng, style: Style) -> Material:
    colours = (palette_colour(rng, style), palette_colour(rng, style))
    return _covering(rng, style, rng.pick(style.wall_textures), colours, gloss=0.05)


def _floor(rng: Rng, style: Style, room_type: str) -> Material:
    tiled = room_type in ("bathroom", "kitchen") and rng.chance(0.6)
    texture = "tile" if tiled else rng.pick(style.floor_textures)
    colour = palette_colour(rng, style)
    colours = (colour, _faded(rng, colour, 0.45, 0.95))
    return _covering(rng, style, texture, colours, gloss=rng.uniform(0.0, 0.5))


def _covering(
    rng: Rng, style: Style, texture: str, colours: tuple[Colour, Colour], gloss: float
) -> Material:
    scale = style.texture_scale * rng.uniform(0.7, 1.4)
    seed = rng.integer(0, 1 << 20)
    return Material(texture, *colours, scale, style.texture_contrast, gloss=gloss, seed=seed)


def _ceiling(rng: Rng, style: Style) -> Material:
    grey = rng.uniform(0.75, 0.95)
    white = (grey, grey, grey * 0.97)
    texture = rng.pick(("plain", "plaster", "panel"))
    seed = rng.integer(0, 1 << 20)
    contrast = 0.5 * style.texture_contrast
    return Material(texture, white, darker(white, 0.85), contrast=contrast, seed=seed)


def _add_corner_block(builder: Builder, room_type: str) -> None:
    """Now and then fill a corner up to the ceiling, so that the room is not convex."""
    rng = builder.rng
    if room_type in ("corridor", "bathroom") or not rng.chance(0.25):
        return
    width, depth, height = builder.scene.size
    half_x, half_y = rng.uniform(0.2, 0.7), rng.uniform(0.2, 0.7)
    x = rng.sign() * (width / 2 - half_x)
    y = rng.sign() * (depth / 2 - half_y)
    frame = RenderedView(builder.scene, (x, y, height / 2))
    frame.box((0, 0, 0), (half_x, half_y, height / 2), builder.wall, Kind.WALL, bevel=0.02)
    builder.scene.footprints.append(Footprint(x, y, half_x, half_y))


def _furnish(builder: Builder, layout: RoomLayout, room_type: str) -> None:
    rng, style = builder.rng, builder.style
    fullness = 0.4 + 0.6 * style.density
    for name, probability in PLANS[room_type]:
        if not rng.chance(min(1.0, probability * style.item_habits[name] * fullness)):
            continue
        if name == "rug":
            _lay_rug(builder)
            continue
        item = ITEMS[name]
        width, depth = item.draw_size(rng)
        corridor = room_type == "corridor"
        if corridor:
            depth = min(depth, _CORRIDOR_DEPTH_M)
        if item.place == "free" and not corridor:
            frame = layout.place_free((width, depth), builder.turn())
        else:
            frame = layout.place_at_wall((width, depth))
        if frame is not None:
            item.build(builder, frame, (width, depth))


def _lay_rug(builder: Builder) -> None:
    rng = builder.rng
    width, depth, _ = builder.scene.size
    half_x = rng.uniform(0.5, min(1.2, width * 0.35))
    half_y = rng.uniform(0.5, min(1.4, depth * 0.3))
    at = (rng.uniform(-0.15, 0.15) * width, rng.uniform(-0.15, 0.15) * depth, 0.0)
    add_rug(builder, RenderedView(builder.scene, at), (2 * half_x, 2 * half_y))


def _litter(builder: Builder, layout: RoomLayout) -> None:
    """Leave a few larger things on the floor."""
    rng = builder.rng
    width, depth, _ = builder.scene.size
    for _ in range(builder.clutter_count(0, 7)):
        x, y = rng.uniform(-0.45, 0.45) * width, rng.uniform(-0.45, 0.45) * depth
        if layout.is_floor_free(Footprint(x, y, 0.1, 0.1)):
            add_clutter(
                builder, RenderedView(builder.scene, (x, y, 0.0)), (0.0, 0.0, 0.0), large=True
            )
