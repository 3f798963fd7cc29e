"""Make chairs, sofas, beds and tables; metres."""

from __future__ import annotations

from harness.workloads.multitask.data.scenes.builder import Builder
from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.materials import Material
from harness.workloads.multitask.data.scenes.scene import RenderedView
from harness.workloads.multitask.data.scenes.small_things import add_clutter, add_table_lamp
from harness.workloads.multitask.data.scenes.style import SQUARE_LEGS, TAPERED_LEGS

Size = tuple[float, float]
"""Width (local x) and depth (local y) of a piece; local -y faces the room."""

LINEN = Material("weave", (0.85, 0.84, 0.8), (0.7, 0.7, 0.7), contrast=0.4)
SOFT_TEXTURES = ("plain", "stripes", "dots", "weave")
_UPHOLSTERY = ("weave", "plain", "stripes", "dots")
_TABLE_TOPS = ("wood", "plain", "marble", "wood")
_SIDES = (-1, 1)


def _add_legs(
    builder: Builder, frame: RenderedView, half: Size, height: float, material: Material, kind: Kind
) -> None:
    """Put four legs under a plate, in the leg family of the building."""
    family = builder.style.legs
    thick = 0.025 if kind is Kind.TABLE else 0.02
    foot = 0.6 * thick if family == TAPERED_LEGS else thick
    for side in _SIDES:
        for end in _SIDES:
            at = (side * (half[0] - thick), end * (half[1] - thick), height / 2)
            if family == SQUARE_LEGS:
                frame.box(at, (thick, thick, height / 2), material, kind, bevel=0.008)
            else:
                frame.frustum(at, (foot, thick), height / 2, material, kind)


def _scatter(builder: Builder, frame: RenderedView, size: Size, height: float, count: int) -> None:
    rng = builder.rng
    for _ in range(count):
        x, y = rng.uniform(-0.38, 0.38) * size[0], rng.uniform(-0.36, 0.36) * size[1]
        add_clutter(builder, frame, (x, y, height))


def add_table(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Build a dining table or desk, round on one foot or square on four, with things on it."""
    width, depth = size
    rng = builder.rng
    material = builder.own_material(_TABLE_TOPS)
    height = rng.uniform(0.68, 0.8)
    if builder.is_round() and abs(width - depth) < 0.5:
        radius = min(width, depth) / 2
        frame.frustum((0, 0, height), (radius, radius), 0.02, material, Kind.TABLE)
        frame.frustum((0, 0, height / 2), (0.05, 0.04), height / 2, material, Kind.TABLE)
        frame.frustum((0, 0, 0.02), (0.3 * radius + 0.1, 0.06), 0.02, material, Kind.TABLE)
    else:
        frame.box((0, 0, height), (width / 2, depth / 2, 0.02), material, Kind.TABLE)
        _add_legs(builder, frame, (width / 2, depth / 2), height, material, Kind.TABLE)
    _scatter(builder, frame, size, height + 0.02, builder.clutter_count(1, 6))
    if rng.chance(0.3):
        add_table_lamp(builder, frame, (-0.35 * width, 0.2 * depth, height + 0.02))


def add_coffee_table(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Build a low table."""
    width, depth = size
    material = builder.own_material()
    height = builder.rng.uniform(0.3, 0.45)
    if builder.is_round():
        frame.frustum((0, 0, height), (depth / 2, depth / 2), 0.02, material, Kind.TABLE)
        foot = (0.2 * depth, 0.12 * depth)
        frame.frustum((0, 0, height / 2), foot, height / 2, material, Kind.TABLE)
    else:
        frame.box((0, 0, height), (width / 2, depth / 2, 0.025), material, Kind.TABLE)
        _add_legs(builder, frame, (width / 2, depth / 2), height, material, Kind.TABLE)
    _scatter(
        builder, frame, (0.8 * width, 0.8 * depth), height + 0.025, builder.clutter_count(1, 4)
    )


def add_chair(builder: Builder, frame: RenderedView, _size: Size) -> None:
    """Build a stool, a swivel chair or a chair with a closed or an open back."""
    rng = builder.rng
    wood = builder.own_material()
    seat = builder.own_material(("weave", "plain", "stripes", "wood"))
    height, half = rng.uniform(0.42, 0.5), rng.uniform(0.2, 0.25)
    if builder.is_round(0.5):
        frame.frustum((0, 0, height), (half, half), 0.03, seat, Kind.CHAIR)
        _add_legs(builder, frame, (half * 0.7, half * 0.7), height, wood, Kind.CHAIR)
        return
    if builder.style.legs == TAPERED_LEGS and rng.chance(0.5):
        frame.frustum((0, 0, height / 2), (0.03, 0.03), height / 2, wood, Kind.CHAIR)
        frame.frustum((0, 0, 0.04), (0.28, 0.05), 0.03, wood, Kind.CHAIR)
    else:
        _add_legs(builder, frame, (half, half), height, wood, Kind.CHAIR)
    frame.box((0, 0, height), (half, half, 0.03), seat, Kind.CHAIR)
    _add_chair_back(builder, frame, (height, half), wood, seat)


def _add_chair_back(
    builder: Builder, frame: RenderedView, seat_at: Size, wood: Material, seat: Material
) -> None:
    height, half = seat_at
    back = half - 0.02
    if builder.rng.chance(0.6):
        frame.box((0, back, height + 0.27), (half, 0.02, 0.24), seat, Kind.CHAIR)
        return
    for column in (-1, 0, 1):
        at = (column * (half - 0.03), back, height + 0.25)
        frame.box(at, (0.02, 0.015, 0.25), wood, Kind.CHAIR, bevel=0.006)
    frame.box((0, back, height + 0.45), (half, 0.015, 0.05), wood, Kind.CHAIR, bevel=0.01)


def add_sofa(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Build a sofa with round or square arms and up to three cushions."""
    width, depth = size
    rng = builder.rng
    cloth = builder.own_material(_UPHOLSTERY)
    height = rng.uniform(0.38, 0.45)
    seat = (width / 2, depth / 2, height / 2 - 0.03)
    frame.box((0, 0, height / 2 + 0.03), seat, cloth, Kind.SOFA, bevel=0.05)
    back = (0, depth / 2 - 0.1, height + 0.2)
    frame.box(back, (width / 2, 0.1, 0.24), cloth, Kind.SOFA, bevel=0.06)
    round_arms = builder.is_round()
    for side in _SIDES:
        x = side * (width / 2 - 0.09)
        upright = (0.08, depth / 2, height / 2 + 0.1)
        if round_arms:
            at = (x, 0, height + 0.12)
            frame.frustum(at, (0.1, 0.1), depth / 2, cloth, Kind.SOFA, axis=1)
            frame.box((x, 0, height / 2), upright, cloth, Kind.SOFA)
        else:
            frame.box((x, 0, height / 2 + 0.12), upright, cloth, Kind.SOFA, bevel=0.05)
    for _ in range(rng.integer(0, 4)):
        place = (rng.uniform(-0.35, 0.35) * width, 0.12 * depth, height + 0.16)
        cushion = builder.any_material(SOFT_TEXTURES)
        frame.ellipsoid(place, (0.2, 0.1, 0.16), cushion, Kind.TEXTILE)


def add_bed(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Build a bed with mattress, blanket, head board and pillows."""
    width, depth = size
    wood = builder.own_material()
    blanket = builder.any_material(SOFT_TEXTURES)
    height = builder.rng.uniform(0.3, 0.5)
    frame.box((0, 0, height / 2), (width / 2, depth / 2, height / 2), wood, Kind.BED)
    mattress = (width / 2 - 0.03, depth / 2 - 0.03, 0.1)
    frame.box((0, -0.02, height + 0.1), mattress, LINEN, Kind.BED, bevel=0.06)
    cover = (width / 2 + 0.005, depth * 0.27, 0.1)
    frame.box((0, -0.22 * depth, height + 0.13), cover, blanket, Kind.TEXTILE, bevel=0.06)
    frame.box((0, depth / 2 - 0.03, height + 0.3), (width / 2, 0.03, 0.35), wood, Kind.BED)
    double = width > 1.2
    for side in _SIDES if double else (0,):
        at = (side * width * 0.24, depth * 0.34, height + 0.25)
        half = (0.28 if double else 0.35, 0.17, 0.09)
        frame.ellipsoid(at, half, LINEN, Kind.BED)
