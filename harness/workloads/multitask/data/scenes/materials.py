"""Describe what a surface is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Colour: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """Describe one material.

    Attributes:
        texture: Name of the pattern, a key of the tables in `textures`.
        first: Linear colour where the pattern weighs 0.
        second: Linear colour where it weighs 1.
        scale: Size of the pattern relative to its usual size.
        contrast: Strength of the pattern.
        gloss: Strength of the highlight.
        emission: 0 for a body, 1 for a shining lamp.
        seed: Number that tells two surfaces of the same pattern apart.
    """

    texture: str
    first: Colour
    second: Colour
    scale: float = 1.0
    contrast: float = 0.6
    gloss: float = 0.0
    emission: float = 0.0
    seed: int = 0


def plain(colour: Colour, contrast: float = 0.0, gloss: float = 0.0, glow: float = 0.0) -> Material:
    """Return an unpatterned material whose faint mottling darkens towards 0.6 of the colour."""
    return Material("plain", colour, darker(colour, 0.6), 1.0, contrast, gloss, glow)


def darker(colour: Colour, factor: float) -> Colour:
    """Return the colour times a factor."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def from_hsv(hue: float, saturation: float, brightness: float) -> Colour:
    """Turn hue (in turns, any number), saturation and brightness into red, green and blue."""
    sextant = (hue % 1.0) * 6
    index = int(sextant)
    rest = sextant - index
    low = brightness * (1 - saturation)
    falling = brightness * (1 - saturation * rest)
    rising = brightness * (1 - saturation * (1 - rest))
    return (
        (brightness, rising, low),
        (falling, brightness, low),
        (low, brightness, rising),
        (low, falling, brightness),
        (rising, low, brightness),
        (brightness, low, falling),
    )[index % 6]
