"""Describe the three solids every piece of furniture is made of, and their bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from harness.workloads.multitask.data.scenes.classes import Kind
from harness.workloads.multitask.data.scenes.materials import Material
from harness.workloads.multitask.data.scenes.vectors import Point, Turn


class Shape(Enum):
    """Tell the solids apart."""

    BOX = "box"
    FRUSTUM = "frustum"
    ELLIPSOID = "ellipsoid"


@dataclass(frozen=True)
class Primitive:
    """Place one solid in the room; lengths in metres.

    Attributes:
        shape: Which solid.
        centre: Centre in world coordinates.
        half: Half sizes along the local axes (semi-axes of an ellipsoid).
        turn: Rotation about the vertical.
        material: What it is made of.
        kind: Semantic class.
        axis: Local axis of a frustum.
        radii: Radii of a frustum at the lower and the upper end of its axis.
        bevel: Width of the rounded rim in the normals of a box.
    """

    shape: Shape
    centre: Point
    half: Point
    turn: Turn
    material: Material
    kind: Kind
    axis: int = 2
    radii: tuple[float, float] = (0.0, 0.0)
    bevel: float = 0.03

    @property
    def radius(self) -> float:
        """Return the radius of a sphere about the centre that holds the solid."""
        if self.shape is Shape.ELLIPSOID:
            return max(self.half)
        if self.shape is Shape.FRUSTUM:
            return math.sqrt(max(self.radii) ** 2 + self.half[self.axis] ** 2)
        return math.sqrt(sum(length * length for length in self.half))

    @property
    def extent(self) -> Point:
        """Return the half sizes of an upright, unturned box that holds the solid."""
        cosine, sine = abs(self.turn[0]), abs(self.turn[1])
        x, y, z = self.half
        return cosine * x + sine * y, sine * x + cosine * y, z


@dataclass(frozen=True)
class Bounds:
    """Hold the bounds of P primitives as float64 arrays for culling, metres.

    Attributes:
        centre: Shape (P, 3).
        extent: Half sizes of upright boxes, shape (P, 3).
        radius: Radii of spheres, shape (P,).
    """

    centre: npt.NDArray[np.float64]
    extent: npt.NDArray[np.float64]
    radius: npt.NDArray[np.float64]

    @classmethod
    def of(cls, primitives: list[Primitive]) -> Bounds:
        """Collect the bounds of a list of primitives."""
        return cls(
            centre=np.array([p.centre for p in primitives], np.float64).reshape(-1, 3),
            extent=np.array([p.extent for p in primitives], np.float64).reshape(-1, 3),
            radius=np.array([p.radius for p in primitives], np.float64),
        )
