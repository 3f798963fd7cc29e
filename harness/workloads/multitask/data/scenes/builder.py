"""Choose materials in the taste of a building: what all furniture makers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.workloads.multitask.data.scenes.materials import Colour, Material, from_hsv, plain
from harness.workloads.multitask.data.scenes.rng import Rng
from harness.workloads.multitask.data.scenes.scene import Scene
from harness.workloads.multitask.data.scenes.style import Style
from harness.workloads.multitask.data.scenes.vectors import Turn

RIGHT_ANGLES: tuple[Turn, ...] = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))
LAMP_GLASS = plain((1.0, 0.93, 0.8), glow=0.8)
CHROME = plain((0.6, 0.6, 0.65), gloss=0.9)
_SEEDS = 1 << 20


@dataclass(frozen=True)
class Builder:
    """Furnish one scene: random numbers, taste and the room's own wall material."""

    rng: Rng
    style: Style
    scene: Scene
    wall: Material

    def own_material(self, textures: Sequence[str] = ()) -> Material:
        """Return a furniture material of the building; camouflaged pieces copy the wall."""
        rng, style = self.rng, self.style
        if rng.chance(style.camouflage):
            return self.wall
        return Material(
            rng.pick(textures or style.furniture_textures),
            palette_colour(rng, style),
            palette_colour(rng, style),
            style.texture_scale * rng.uniform(0.7, 1.5),
            style.texture_contrast,
            gloss=rng.uniform(0, 0.5) if rng.chance(0.4) else 0.0,
            seed=rng.integer(0, _SEEDS),
        )

    def any_material(
        self, textures: Sequence[str] = ("plain",), gloss: float = 0.0, saturation: float = 0.7
    ) -> Material:
        """Return a material of any colour, whatever the taste of the building."""
        rng = self.rng
        return Material(
            rng.pick(textures),
            from_hsv(rng.uniform(), rng.uniform(0.1, saturation), rng.uniform(0.1, 0.95)),
            from_hsv(rng.uniform(), rng.uniform(0.1, saturation), rng.uniform(0.1, 0.95)),
            rng.uniform(0.5, 2.0),
            rng.uniform(0.3, 1.0),
            gloss=gloss,
            seed=rng.integer(0, _SEEDS),
        )

    def turn(self) -> Turn:
        """Return how a free-standing piece is turned: mostly along the walls."""
        return self.rng.direction() if self.rng.chance(0.4) else self.rng.pick(RIGHT_ANGLES)

    def is_round(self, share: float = 1.0) -> bool:
        """Decide whether a piece comes in its round form."""
        return self.rng.chance(self.style.roundness * share)

    def clutter_count(self, low: float, high: float) -> int:
        """Return how many small things lie about."""
        return int(self.style.clutter * self.rng.uniform(low, high))


def palette_colour(rng: Rng, style: Style, lighter: float = 0.0) -> Colour:
    """Return a colour of the building's palette, its brightness raised by `lighter`."""
    hue = style.accent_hue if rng.chance(0.3) else style.hue
    saturation = min(1.0, style.saturation * rng.uniform(0.3, 1.2))
    brightness = style.brightness * rng.uniform(0.5, 1.15) + lighter
    hue += style.hue_spread * rng.uniform(-1.0, 1.0)
    return from_hsv(hue, saturation, min(0.95, max(0.06, brightness)))
