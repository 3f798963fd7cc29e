"""Paint surfaces: one function per pattern, from metres on the surface to colours.

Every pattern gets the material, surface coordinates `u`, `v` (metres, arrays of one size) and
`fade`, which falls from 1 to 0 where a pixel grows too large to hold fine detail. Most return a
weight that blends the two colours of the material; a few return colours of their own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.workloads.multitask.data.scenes.materials import Material
from harness.workloads.multitask.data.scenes.noise import cell_noise, fractal_noise, value_noise
from harness.workloads.multitask.data.scenes.vectors import BoolArray, FloatArray, IntArray, clamp


def _fraction(x: FloatArray) -> FloatArray:
    return x - np.floor(x)


def _triangle_wave(x: FloatArray) -> FloatArray:
    return np.abs(2 * _fraction(x) - 1)


def _cell(x: FloatArray) -> IntArray:
    return np.floor(x).astype(np.int32)


def _odd(x: IntArray) -> FloatArray:
    return (x & 1).astype(np.float32)


def _as_number(mask: BoolArray) -> FloatArray:
    return mask.astype(np.float32)


def _plain(material: Material, u: FloatArray, v: FloatArray, _fade: FloatArray) -> FloatArray:
    return 0.08 * fractal_noise(u * 3, v * 3, material.seed)


def _plaster(material: Material, u: FloatArray, v: FloatArray, fade: FloatArray) -> FloatArray:
    frequency = 9 / material.scale
    clouds = fractal_noise(u * frequency, v * frequency, material.seed)
    grain = (value_noise(u * 60, v * 60, material.seed + 9) - 0.5) * fade
    return material.contrast * (0.5 * clouds + 0.35 * grain)


def _planks(material: Material, u: FloatArray, v: FloatArray, fade: FloatArray) -> FloatArray:
    across = u * (1 / (0.14 * material.scale))
    column = _cell(across)
    along = v * (1 / (1.2 * material.scale)) + cell_noise(column, column, material.seed)
    tone = cell_noise(column, _cell(along), material.seed + 1)
    grain = fractal_noise(u * (40 / material.scale), v * (3 / material.scale), material.seed + 2)
    weight = material.contrast * (0.55 * tone + 0.45 * grain * fade)
    gap = (_fraction(across) < 0.05) | (_fraction(along) < 0.012)
    return np.where(gap, weight + (1 - weight) * 0.8 * fade, weight)


def _with_joints(
    material: Material, weight: FloatArray, joint: BoolArray, fade: FloatArray
) -> FloatArray:
    """Darken light cells and lighten dark ones along their joints."""
    inside = np.where(weight > 0.5, weight - 0.5 * fade, weight + 0.6 * material.contrast * fade)
    return np.where(joint, inside, weight)


def _tile(material: Material, u: FloatArray, v: FloatArray, fade: FloatArray) -> FloatArray:
    across = u * (1 / (0.22 * material.scale))
    up = v * (1 / (0.22 * material.scale))
    weight = material.contrast * 0.35 * cell_noise(_cell(across), _cell(up), material.seed)
    joint = (_fraction(across) < 0.06) | (_fraction(up) < 0.06)
    stain = material.contrast * 0.12 * fractal_noise(u * 14, v * 14, material.seed + 3)
    return _with_joints(material, weight, joint, fade) + stain


def _checker(material: Material, u: FloatArray, v: FloatArray, fade: FloatArray) -> FloatArray:
    across = u * (1 / (0.3 * material.scale))
    up = v * (1 / (0.3 * material.scale))
    weight = material.contrast * 0.9 * _odd(_cell(across) + _cell(up))
    joint = (_fraction(across) < 0.06) | (_fraction(up) < 0.06)
    stain = material.contrast * 0.12 * fractal_noise(u * 14, v * 14, material.seed + 3)
    return _with_joints(material, weight, joint, fade) + stain


def _carpet(material: Material, u: FloatArray, v: FloatArray, fade: FloatArray) -> FloatArray:
    clouds = fractal_noise(u * 4, v * 4, material.seed)
    pile = value_noise(u * 120, v * 120, material.seed + 1) * fade
    return material.contrast * (0.35 * clouds + 0.65 * pile)


def _brick(material: Material, u: FloatArray, v: FloatArray, fade: FloatArray) -> FloatArray:
    up = v * (1 / (0.075 * material.scale))
    row = _cell(up)
    across = u * (1 / (0.22 * material.scale)) + 0.5 * _odd(row)
    tone = cell_noise(_cell(across), row, material.seed)
    grain = value_noise(u * 60, v * 60, material.seed + 1) * fade
    joint = (_fraction(across) < 0.06) | (_fraction(up) < 0.14)
    brick = material.contrast * 0.5 * tone + 0.15 * grain
    return np.where(joint, material.contrast * fade, brick)


def _stripes(material: Material, u: FloatArray, _v: FloatArray, _fade: FloatArray) -> FloatArray:
    phase = _fraction(u * (1 / (0.18 * material.scale)))
    thin = _as_number((phase > 0.62) & (phase < 0.7))
    wide = _as_number(phase >= 0.5)
    return material.contrast * (0.05 + 0.55 * wide + 0.4 * thin)


def _dots(material: Material, u: FloatArray, v: FloatArray, _fade: FloatArray) -> FloatArray:
    pitch = 1 / (0.16 * material.scale)
    x = _fraction(u * pitch) - 0.5
    y = _fraction(v * pitch) - 0.5
    dot = _as_number(x * x + y * y < 0.07)
    clouds = fractal_noise(u * 5, v * 5, material.seed)
    return material.contrast * (0.05 + 0.9 * dot) + 0.1 * clouds


def _marble(material: Material, u: FloatArray, v: FloatArray, _fade: FloatArray) -> FloatArray:
    frequency = 3 / material.scale
    clouds = fractal_noise(u * frequency, v * frequency, material.seed, 4)
    vein = _triangle_wave((u * 0.8 + v * 0.6) * (1 / material.scale) + 3 * clouds)
    return material.contrast * (0.75 * vein * vein * vein + 0.25 * clouds)


def _wood(material: Material, u: FloatArray, v: FloatArray, fade: FloatArray) -> FloatArray:
    scale = material.scale
    bend = fractal_noise(u * (3 / scale), v * (1.2 / scale), material.seed, 2)
    rings = _triangle_wave(u * (7 / scale) + 2.5 * bend)
    fibre = fractal_noise(u * 60, v * 4, material.seed + 5, 2) * fade
    return material.contrast * (0.5 * rings + 0.4 * fibre)


def _weave(material: Material, u: FloatArray, v: FloatArray, fade: FloatArray) -> FloatArray:
    frequency = 90.0 / material.scale
    thread = _odd(_cell(u * frequency) + _cell(v * frequency))
    clouds = fractal_noise(u * 5, v * 5, material.seed)
    return material.contrast * (0.3 * clouds + 0.5 * (thread * fade + 0.5 * (1 - fade)))


def _panel(material: Material, u: FloatArray, v: FloatArray, _fade: FloatArray) -> FloatArray:
    joint = _fraction(u * (1 / (0.45 * material.scale))) < 0.035
    rail = _fraction(v * (1 / (0.9 * material.scale))) < 0.02
    shade = 0.15 * value_noise(u * 2, v * 2, material.seed)
    return material.contrast * np.where(joint | rail, 1.0, shade)


def _leaf(material: Material, u: FloatArray, v: FloatArray, fade: FloatArray) -> FloatArray:
    blade = material.contrast * value_noise(u * 25, v * 25, material.seed)
    return blade + 0.3 * value_noise(u * 90, v * 90, material.seed + 1) * fade


def _books(material: Material, u: FloatArray, _v: FloatArray, fade: FloatArray) -> FloatArray:
    place = u * (1 / 0.035)
    book = _cell(place)
    spines = [cell_noise(book, shade, material.seed + 7) for shade in (1, 2, 3)]
    light = 1 - 0.7 * fade * _as_number(_fraction(place) < 0.12)
    return np.stack([(spine * 0.7 + 0.1) * light for spine in spines], -1)


def _painting(material: Material, u: FloatArray, v: FloatArray, _fade: FloatArray) -> FloatArray:
    first = fractal_noise(u * 5, v * 5, material.seed, 2)
    second = fractal_noise(u * 5 + 9, v * 5 - 4, material.seed + 3, 2)
    patch, region = _cell(first * 9), _cell(second * 9)
    return np.stack([cell_noise(patch, region, material.seed + k) for k in (1, 2, 3)], -1)


def _outside(material: Material, u: FloatArray, v: FloatArray, _fade: FloatArray) -> FloatArray:
    """Show sky (first colour) over trees (second colour)."""
    skyline = fractal_noise(u * 2, v * 2, material.seed)
    sky = clamp((v * 1.2 + skyline - 0.4) * 3, 0.0, 1.0)
    trees = (1 - sky) * (0.5 + 0.5 * fractal_noise(u * 9, v * 9, material.seed + 1))
    mixed = [
        above * sky + below * trees
        for above, below in zip(material.first, material.second, strict=True)
    ]
    return np.stack(mixed, -1)


def _screen(material: Material, u: FloatArray, v: FloatArray, _fade: FloatArray) -> FloatArray:
    return material.contrast * _as_number(value_noise(u * 8, v * 25, material.seed) > 0.55)


Pattern = Callable[[Material, FloatArray, FloatArray, FloatArray], FloatArray]

BLENDING: dict[str, Pattern] = {
    "plain": _plain, "plaster": _plaster, "planks": _planks, "tile": _tile, "checker": _checker,
    "carpet": _carpet, "brick": _brick, "stripes": _stripes, "dots": _dots, "marble": _marble,
    "wood": _wood, "weave": _weave, "panel": _panel, "leaf": _leaf, "screen": _screen,
}  # fmt: skip
COLOURING: dict[str, Pattern] = {"books": _books, "painting": _painting, "outside": _outside}


def paint(material: Material, u: FloatArray, v: FloatArray, fade: FloatArray) -> FloatArray:
    """Return the linear colour of each point.

    Args:
        material: What the surface is made of.
        u: First surface coordinate in metres, shape (n,).
        v: Second surface coordinate in metres, shape (n,).
        fade: 1 where fine detail is resolved, towards 0 where it is not, shape (n,).

    Returns:
        float32 array of shape (n, 3).
    """
    if material.texture in COLOURING:
        return COLOURING[material.texture](material, u, v, fade)
    weight = clamp(BLENDING[material.texture](material, u, v, fade), 0.0, 1.0)
    channels = [
        first + (second - first) * weight
        for first, second in zip(material.first, material.second, strict=True)
    ]
    return np.stack(channels, -1)
