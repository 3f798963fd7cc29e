"""Collect what is in a room, and place parts in the frame of a piece of furniture."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.materials import Colour, Material
from harness.workloads.multitask.data.scenes.primitives import Bounds, Primitive, Shape
from harness.workloads.multitask.data.scenes.style import Style
from harness.workloads.multitask.data.scenes.vectors import Point, Turn

STRAIGHT: Turn = (1.0, 0.0)


@dataclass(frozen=True)
class Light:
    """Place a small lamp; position and radius in metres, power relative."""

    position: Point
    colour: Colour
    power: float
    radius: float


@dataclass(frozen=True)
class Opening:
    """Tell the sun where it may come in; metres.

    Attributes:
        wall: 0 and 1 are the walls at -x and +x, 2 and 3 those at -y and +y.
        along: World coordinate of the middle, along the wall.
        height: Height of the middle above the floor.
        half_width: Half the width of the pane.
        half_height: Half its height.
    """

    wall: int
    along: float
    height: float
    half_width: float
    half_height: float


@dataclass(frozen=True)
class Footprint:
    """Reserve an upright rectangle of the floor; metres."""

    x: float
    y: float
    half_x: float
    half_y: float


@dataclass
class Scene:
    """Hold one room, centred on x = y = 0 with its floor at z = 0; metres.

    Attributes:
        size: Width (x), depth (y) and height (z) of the room.
        style: Taste the room is built in.
        shell: Materials of the walls -x, +x, -y, +y, of the floor and of the ceiling.
        primitives: All solids in the room.
        lights: Lamps that cast light, at most three once the room is finished.
        windows: Openings the sun shines through.
        footprints: Reserved parts of the floor.
        sun: Unit vector towards the sun, or None without direct sunlight.
    """

    size: Point
    style: Style
    shell: tuple[Material, ...]
    primitives: list[Primitive] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)
    windows: list[Opening] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)
    sun: Point | None = None

    @cached_property
    def bounds(self) -> Bounds:
        """Bounds of all primitives; ask only once the room is finished."""
        return Bounds.of(self.primitives)


@dataclass(frozen=True)
class RenderedView:
    """Place parts relative to a turned origin on the floor (or anywhere); lengths in metres."""

    scene: Scene
    origin: Point
    turn: Turn = STRAIGHT

    def world(self, at: Point) -> Point:
        """Return the world position of a local point."""
        cosine, sine = self.turn
        x, y, z = self.origin
        return x + cosine * at[0] - sine * at[1], y + sine * at[0] + cosine * at[1], z + at[2]

    def box(
        self,
        at: Point,
        half: Point,
        material: Material,
        kind: Kind,
        turn: Turn = STRAIGHT,
        bevel: float = 0.03,
    ) -> None:
        """Add a box with half sizes `half`, turned by `turn` on top of the frame's own turn."""
        cosine = self.turn[0] * turn[0] - self.turn[1] * turn[1]
        sine = self.turn[1] * turn[0] + self.turn[0] * turn[1]
        part = Primitive(
            Shape.BOX, self.world(at), half, (cosine, sine), material, kind, bevel=bevel
        )
        self.scene.primitives.append(part)

    def frustum(
        self,
        at: Point,
        radii: tuple[float, float],
        half_height: float,
        material: Material,
        kind: Kind,
        axis: int = 2,
    ) -> None:
        """Add a frustum with the given lower and upper radius about a local axis."""
        widest = max(radii)
        half = [widest, widest, widest]
        half[axis] = half_height
        part = Primitive(
            Shape.FRUSTUM,
            self.world(at),
            (half[0], half[1], half[2]),
            self.turn,
            material,
            kind,
            axis=axis,
            radii=radii,
        )
        self.scene.primitives.append(part)

    def ellipsoid(self, at: Point, half: Point, material: Material, kind: Kind) -> None:
        """Add an ellipsoid with semi-axes `half`."""
        part = Primitive(Shape.ELLIPSOID, self.world(at), half, self.turn, material, kind)
        self.scene.primitives.append(part)

    def light(self, at: Point, colour: Colour, power: float, radius: float) -> None:
        """Add a lamp."""
        self.scene.lights.append(Light(self.world(at), colour, power, radius))
