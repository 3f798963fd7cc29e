"""Give every building its own taste: this is what makes the clients differ.

A federated client owns one building. All its rooms follow one `Style`: how it is painted and
furnished, how high the camera hangs and how the picture is exposed. `skew` says how strictly.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.workloads.multitask.data.scenes.rng import Rng

STYLE_POPULATION = 32
"""Buildings whose styles stray rooms take; fixed, so that a client's data is the same in a
federation of any size."""

ROOM_TYPES = (
    "living", "bedroom", "kitchen", "office", "bathroom", "dining", "corridor", "storage",
)  # fmt: skip
ITEM_NAMES = (
    "sofa", "coffee table", "shelf", "television", "plant", "floor lamp", "rug", "sideboard",
    "chair", "bed", "wardrobe", "night stand", "desk", "kitchen unit", "table", "toilet", "sink",
    "bath tub", "boxes",
)  # fmt: skip
WALL_TEXTURES = ("plaster", "stripes", "brick", "dots", "panel", "tile")
FLOOR_TEXTURES = ("planks", "tile", "carpet", "checker", "marble", "planks", "plaster")
FURNITURE_TEXTURES = ("wood", "plain", "wood", "marble", "weave")
SQUARE_LEGS, ROUND_LEGS, TAPERED_LEGS = 0, 1, 2

_RANK_RATIO = 0.3
_RANK_FLOOR = 0.002
_HABITS = (0.1, 0.4, 1.0, 1.6, 2.5)
_ACCENTS = (0.33, 0.5, 0.42, 0.08)
# Camera height in metres (robot, table, hand, eye, ceiling corner): weight, tan(half pitch down).
_CAMERAS = {
    0.35: (1.5, -0.10),
    1.0: (1.5, 0.02),
    1.5: (3.0, 0.08),
    1.7: (2.0, 0.12),
    2.2: (1.5, 0.28),
}


@dataclass(frozen=True)
class Style:
    """Hold the taste of one building.

    Lengths in metres, hues in turns, everything else a fraction unless said otherwise.
    """

    room_weights: tuple[float, ...]
    item_habits: dict[str, float]
    hue: float
    hue_spread: float
    accent_hue: float
    saturation: float
    brightness: float
    wall_textures: tuple[str, ...]
    floor_textures: tuple[str, ...]
    furniture_textures: tuple[str, ...]
    texture_contrast: float
    texture_scale: float
    legs: int
    roundness: float
    camouflage: float
    ceiling_m: float
    room_scale: float
    camera_height_m: float
    camera_pitch: float
    tan_half_fov: float
    warmth: float
    ambient: float
    sun: float
    exposure: float
    noise: float
    vignette: float
    clutter: float
    density: float
    pictures: float


def _room_weights(rng: Rng) -> tuple[float, ...]:
    weights = [0.0] * len(ROOM_TYPES)
    weight = 1.0
    for room_type in rng.shuffled(len(ROOM_TYPES)):
        weights[room_type] = weight + _RANK_FLOOR
        weight *= _RANK_RATIO
    return tuple(weights)


def building_style(seed: int, building: int) -> Style:
    """Return the style of one building of the world `seed`."""
    rng = Rng(seed, 77, building)
    hue = rng.uniform()
    height_m = rng.weighted(tuple(_CAMERAS), [weight for weight, _ in _CAMERAS.values()])
    return Style(
        room_weights=_room_weights(rng),
        item_habits={item: rng.pick(_HABITS) for item in ITEM_NAMES},
        hue=hue,
        hue_spread=rng.uniform(0.03, 0.15),
        accent_hue=hue + rng.pick(_ACCENTS),
        saturation=rng.uniform(0.15, 0.8),
        brightness=rng.uniform(0.45, 1.0),
        wall_textures=(rng.pick(WALL_TEXTURES), rng.pick(WALL_TEXTURES)),
        floor_textures=(rng.pick(FLOOR_TEXTURES), rng.pick(FLOOR_TEXTURES)),
        furniture_textures=(rng.pick(FURNITURE_TEXTURES), rng.pick(FURNITURE_TEXTURES)),
        texture_contrast=rng.uniform(0.25, 1.0),
        texture_scale=rng.uniform(0.6, 1.8),
        legs=rng.integer(0, 3),
        roundness=rng.uniform(0.1, 0.9),
        camouflage=rng.uniform(0.0, 0.6),
        ceiling_m=rng.bell(2.75, 0.715),
        room_scale=max(0.7, min(1.4, rng.bell(1.0, 0.455))),
        camera_height_m=height_m,
        camera_pitch=_CAMERAS[height_m][1],
        tan_half_fov=rng.uniform(0.45, 1.1),
        warmth=rng.uniform(-1.0, 1.0),
        ambient=rng.uniform(0.10, 0.34),
        sun=rng.uniform(),
        exposure=rng.uniform(0.55, 1.15),
        noise=rng.uniform(0.3, 3.5),
        vignette=rng.uniform(0.0, 0.5),
        clutter=rng.uniform(0.25, 1.0),
        density=rng.uniform(0.7, 1.0),
        pictures=rng.uniform(0.1, 1.0),
    )


def room_style(seed: int, building: int, room: int, skew: float) -> Style:
    """Return the style a room is built in.

    Args:
        seed: Number of the world.
        building: Building the room is in.
        room: Number of the room in its building.
        skew: Probability that the room follows its own building and not a random one; 0 makes all
            buildings alike (independent and identically distributed clients).
    """
    rng = Rng(seed, 76, building, room)
    follows_own = rng.uniform() < skew
    stranger = rng.integer(0, STYLE_POPULATION)
    return building_style(seed, building if follows_own else stranger)
