"""Make lamps, plants and the clutter that lies on tables, shelves and floors; metres."""

from __future__ import annotations

from harness.workloads.multitask.data.scenes.builder import LAMP_GLASS, Builder
from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.materials import Material, darker, from_hsv
from harness.workloads.multitask.data.scenes.scene import RenderedView
from harness.workloads.multitask.data.scenes.vectors import Point

_CLUTTER_TEXTURES = ("plain", "plain", "stripes", "painting", "dots")


def add_clutter(builder: Builder, frame: RenderedView, at: Point, large: bool = False) -> None:
    """Put a box, mug, ball, bottle, bowl or pebble at a local point."""
    rng = builder.rng
    size = (2.2 if large else 1.0) * rng.uniform(0.7, 1.3)
    material = builder.any_material(_CLUTTER_TEXTURES, gloss=rng.uniform(0.0, 0.6))
    x, y, z = at
    form = rng.integer(0, 6)
    if form == 0:
        half = (0.09 * size, 0.06 * size, 0.03 * size * rng.uniform(0.5, 3.0))
        turn = rng.direction()
        frame.box((x, y, z + half[2]), half, material, Kind.CLUTTER, turn, bevel=0.01)
    elif form in (1, 4):
        low, high, half_height = (0.04, 0.045, 0.06) if form == 1 else (0.04, 0.11, 0.04)
        middle = (x, y, z + half_height * size)
        radii = (low * size, high * size)
        frame.frustum(middle, radii, half_height * size, material, Kind.CLUTTER)
    elif form == 3:
        _bottle(frame, at, size, material)
    else:
        across, along, up = (0.07, 0.07, 0.07) if form == 2 else (0.1, 0.06, 0.05)
        half = (across * size, along * size, up * size)
        frame.ellipsoid((x, y, z + half[2]), half, material, Kind.CLUTTER)


def _bottle(frame: RenderedView, at: Point, size: float, material: Material) -> None:
    x, y, z = at
    body, neck = 0.12 * size, 0.04 * size
    frame.frustum((x, y, z + body), (neck, neck), body, material, Kind.CLUTTER)
    top = z + 2 * body + neck
    frame.frustum((x, y, top), (neck, 0.012 * size), neck, material, Kind.CLUTTER)


def add_lamp(
    builder: Builder, frame: RenderedView, at: Point, half_stem: float, shade: float
) -> None:
    """Put a lamp with a stem of 2 · half_stem and a shade of radius `shade` at a local point."""
    material = builder.any_material()
    x, y, z = at
    stem = 0.1 * shade + 0.002
    top = z + 2 * half_stem + 0.05
    frame.frustum((x, y, z + half_stem), (stem, stem), half_stem, material, Kind.LAMP)
    frame.frustum((x, y, z + 0.01), (0.07, 0.05), 0.012, material, Kind.LAMP)
    if builder.is_round():
        frame.ellipsoid((x, y, top), (shade, shade, shade), LAMP_GLASS, Kind.LAMP)
    else:
        frame.frustum((x, y, top), (shade, 0.6 * shade), 0.75 * shade, LAMP_GLASS, Kind.LAMP)
    if builder.rng.chance(0.6):
        frame.light((x, y, top + 0.25), (1.0, 0.85, 0.62), power=0.35, radius=0.1)


def add_table_lamp(builder: Builder, frame: RenderedView, at: Point) -> None:
    """Put a small lamp at a local point."""
    add_lamp(builder, frame, at, half_stem=0.18, shade=0.1)


def add_floor_lamp(builder: Builder, frame: RenderedView, _size: tuple[float, float]) -> None:
    """Stand a tall lamp on the floor."""
    half_stem = builder.rng.uniform(0.6, 0.8)
    add_lamp(builder, frame, (0.0, 0.0, 0.0), half_stem, shade=0.18)


def add_plant(builder: Builder, frame: RenderedView, _size: tuple[float, float]) -> None:
    """Stand a potted plant on the floor."""
    rng = builder.rng
    size = rng.uniform(0.8, 1.6)
    pot = builder.any_material(("plain", "stripes"), gloss=0.2)
    green = from_hsv(rng.uniform(0.22, 0.42), rng.uniform(0.4, 0.9), rng.uniform(0.15, 0.6))
    leaf = Material(
        "leaf", green, darker(green, 0.5), contrast=0.9, gloss=0.1, seed=rng.integer(0, 1 << 20)
    )
    pot_height = rng.uniform(0.15, 0.25) * size
    frame.frustum((0, 0, pot_height), (0.11 * size, 0.17 * size), pot_height, pot, Kind.PLANT)
    stem = rng.uniform(0.3, 0.8) * size
    radii = (0.02 * size, 0.015 * size)
    frame.frustum((0, 0, 2 * pot_height + stem / 2), radii, stem / 2, leaf, Kind.PLANT)
    for _ in range(rng.integer(3, 8)):
        height = 2 * pot_height + stem * rng.uniform(0.5, 1.1)
        at = (rng.bell(0, 0.16) * size, rng.bell(0, 0.16) * size, height)
        half = (
            rng.uniform(0.08, 0.24) * size,
            rng.uniform(0.06, 0.20) * size,
            rng.uniform(0.05, 0.22) * size,
        )
        frame.ellipsoid(at, half, leaf, Kind.PLANT)
