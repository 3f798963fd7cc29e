"""Make cabinets, shelves, screens, kitchens, sanitary ware and rugs; metres."""

from __future__ import annotations

from harness.workloads.multitask.data.scenes.builder import CHROME, Builder
from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.materials import Material, plain
from harness.workloads.multitask.data.scenes.scene import STRAIGHT, RenderedView
from harness.workloads.multitask.data.scenes.seating import Size, add_table
from harness.workloads.multitask.data.scenes.small_things import add_clutter, add_table_lamp

_SIDES = (-1, 1)
_DARK_GLASS = (0.05, 0.05, 0.06)
_CARDBOARD = (0.62, 0.47, 0.3)
_CARDBOARD_DARK = (0.5, 0.36, 0.2)
_TUB_WATER = plain((0.55, 0.62, 0.66), gloss=0.4)


def _add_cabinet(builder: Builder, frame: RenderedView, size: Size, height: float) -> None:
    """Build a cabinet with doors and knobs; things lie on a low one."""
    width, depth = size
    rng = builder.rng
    wood = builder.own_material()
    frame.box(
        (0, 0, height / 2), (width / 2, depth / 2, height / 2), wood, Kind.CABINET, bevel=0.02
    )
    knob = builder.any_material(gloss=0.6)
    doors = max(1, int(width / 0.5))
    for door in range(doors):
        x = -width / 2 + width * (door + 0.5) / doors
        leaf = (width / doors / 2 - 0.02, 0.008, height / 2 - 0.05)
        at = (x, -depth / 2 - 0.008, height / 2)
        frame.box(at, leaf, wood, Kind.CABINET, bevel=0.012)
        if height < 1.2 or rng.chance(0.5):
            at = (x + 0.35 * width / doors, -depth / 2 - 0.03, height * 0.55)
            frame.ellipsoid(at, (0.02, 0.02, 0.02), knob, Kind.CABINET)
    if height < 1.3:
        for _ in range(builder.clutter_count(0, 4)):
            x, y = rng.uniform(-0.4, 0.4) * width, rng.uniform(-0.3, 0.3) * depth
            add_clutter(builder, frame, (x, y, height))


def add_sideboard(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Build a low cabinet."""
    _add_cabinet(builder, frame, size, builder.rng.uniform(0.6, 1.2))


def add_wardrobe(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Build a high cabinet."""
    height = min(builder.scene.size[2] - 0.1, builder.rng.uniform(1.8, 2.3))
    _add_cabinet(builder, frame, size, height)


def add_night_stand(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Build a small cabinet, often with a lamp."""
    height = builder.rng.uniform(0.4, 0.55)
    _add_cabinet(builder, frame, size, height)
    if builder.rng.chance(0.6):
        add_table_lamp(builder, frame, (0.0, 0.0, height))


def add_television(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Hang a screen over a low cabinet."""
    width, depth = size
    rng = builder.rng
    _add_cabinet(builder, frame, size, rng.uniform(0.35, 0.55))
    glass = Material(
        "screen",
        _DARK_GLASS,
        (0.3, 0.4, 0.6),
        contrast=0.8,
        gloss=0.5,
        emission=0.15 if rng.chance(0.5) else 0.0,
        seed=rng.integer(0, 1 << 20),
    )
    half = (width * 0.42, 0.03, width * 0.25)
    frame.box((0, depth * 0.2, 1.05), half, glass, Kind.PICTURE, bevel=0.012)


def add_desk(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Build a table with a monitor on it."""
    add_table(builder, frame, size)
    seed = builder.rng.integer(0, 1 << 20)
    glass = Material(
        "screen", _DARK_GLASS, (0.2, 0.5, 0.7), contrast=1.0, gloss=0.3, emission=0.2, seed=seed
    )
    frame.box((0, 0.15, 1.02), (0.27, 0.015, 0.17), glass, Kind.PICTURE, bevel=0.008)
    frame.box((0, 0.17, 0.8), (0.03, 0.02, 0.08), glass, Kind.PICTURE)


def add_kitchen_unit(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Build a base cabinet with a worktop and, mostly, a wall cabinet above it."""
    width, depth = size
    rng = builder.rng
    _add_cabinet(builder, frame, size, 0.86)
    worktop = builder.any_material(("marble", "plain", "wood"), gloss=0.5, saturation=0.3)
    frame.box((0, -0.02, 0.89), (width / 2, depth / 2, 0.025), worktop, Kind.TABLE)
    for _ in range(builder.clutter_count(1, 6)):
        x, y = rng.uniform(-0.4, 0.4) * width, rng.uniform(-0.2, 0.2) * depth
        add_clutter(builder, frame, (x, y, 0.915))
    if rng.chance(0.6):
        at = (0, depth / 2 - 0.17, 1.75)
        wood = builder.own_material()
        frame.box(at, (width / 2, 0.17, 0.33), wood, Kind.CABINET, bevel=0.015)


def add_shelf(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Build an open shelf with books and things."""
    width, depth = size
    rng = builder.rng
    height = min(builder.scene.size[2] - 0.1, rng.uniform(1.0, 2.2))
    wood = builder.own_material()
    board = 0.015
    for side in _SIDES:
        at = (side * (width / 2 - board), 0, height / 2)
        frame.box(at, (board, depth / 2, height / 2), wood, Kind.SHELF, bevel=0.008)
    back = (0, depth / 2 - 0.01, height / 2)
    frame.box(back, (width / 2, 0.01, height / 2), wood, Kind.SHELF, bevel=0.005)
    tiers = max(2, int(height / 0.38))
    for tier in range(tiers + 1):
        z = board + (height - 2 * board) * tier / tiers
        frame.box((0, 0, z), (width / 2, depth / 2, board), wood, Kind.SHELF, bevel=0.008)
        if tier < tiers and rng.chance(0.35 + 0.6 * builder.style.clutter):
            _fill_tier(builder, frame, size, z + board, height / tiers)


def _fill_tier(
    builder: Builder, frame: RenderedView, size: Size, z: float, clearance: float
) -> None:
    width, depth = size
    rng = builder.rng
    half_width = rng.uniform(0.15, 0.45) * width
    half_height = clearance * rng.uniform(0.25, 0.42)
    books = builder.any_material(("books",))
    x = rng.uniform(-0.5, 0.5) * (width - 2 * half_width - 0.05)
    half = (half_width, depth * 0.38, half_height)
    frame.box((x, 0, z + half_height), half, books, Kind.SHELF, bevel=0.005)
    if rng.chance(0.5):
        at = (rng.uniform(-0.4, 0.4) * width, -0.1 * depth, z)
        add_clutter(builder, frame, at)


def _porcelain(builder: Builder) -> Material:
    white = builder.rng.uniform(0.75, 0.95)
    return plain((white, white, white * builder.rng.uniform(0.9, 1.0)), contrast=0.1, gloss=0.6)


def add_toilet(builder: Builder, frame: RenderedView, _size: Size) -> None:
    """Build a toilet with its tank."""
    white = _porcelain(builder)
    frame.frustum((0, 0.05, 0.18), (0.13, 0.17), 0.18, white, Kind.SANITARY)
    frame.ellipsoid((0, -0.06, 0.38), (0.19, 0.27, 0.05), white, Kind.SANITARY)
    frame.box((0, 0.28, 0.58), (0.2, 0.09, 0.2), white, Kind.SANITARY, bevel=0.04)


def add_sink(builder: Builder, frame: RenderedView, _size: Size) -> None:
    """Build a wash basin on a column."""
    white = _porcelain(builder)
    frame.frustum((0, 0.05, 0.38), (0.09, 0.07), 0.38, white, Kind.SANITARY)
    frame.ellipsoid((0, 0, 0.8), (0.3, 0.24, 0.12), white, Kind.SANITARY)
    frame.frustum((0, 0.15, 0.98), (0.015, 0.015), 0.1, CHROME, Kind.SANITARY)


def add_bath_tub(builder: Builder, frame: RenderedView, _size: Size) -> None:
    """Build a filled bath tub."""
    white = _porcelain(builder)
    frame.box((0, 0, 0.27), (0.8, 0.36, 0.27), white, Kind.SANITARY, bevel=0.08)
    frame.ellipsoid((0, 0, 0.53), (0.68, 0.28, 0.05), _TUB_WATER, Kind.SANITARY)


def add_boxes(builder: Builder, frame: RenderedView, _size: Size) -> None:
    """Stack one to three cardboard boxes."""
    rng = builder.rng
    z = 0.0
    for _ in range(rng.integer(1, 4)):
        texture = "plain" if rng.chance(0.5) else "panel"
        seed = rng.integer(0, 99)
        card = Material(texture, _CARDBOARD, _CARDBOARD_DARK, contrast=0.5, seed=seed)
        half = (rng.uniform(0.15, 0.25), rng.uniform(0.15, 0.25), rng.uniform(0.1, 0.22))
        at = (rng.uniform(-0.04, 0.04), rng.uniform(-0.04, 0.04), z + half[2])
        turn = STRAIGHT if rng.chance(0.5) else rng.direction()
        frame.box(at, half, card, Kind.CLUTTER, turn, bevel=0.01)
        z += 2 * half[2]


def add_rug(builder: Builder, frame: RenderedView, size: Size) -> None:
    """Lay a rug, round or square: told from the floor by its pattern only."""
    rug = builder.any_material(("stripes", "dots", "checker", "weave", "painting"))
    half_x, half_y = size[0] / 2, size[1] / 2
    if builder.is_round(0.6):
        radius = min(half_x, half_y)
        frame.frustum((0, 0, 0.008), (radius, radius), 0.008, rug, Kind.TEXTILE)
    else:
        frame.box((0, 0, 0.008), (half_x, half_y, 0.008), rug, Kind.TEXTILE, bevel=0.004)
