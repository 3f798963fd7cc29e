"""Describe a pinhole camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.workloads.multitask.data.scenes.vectors import Field, Point


@dataclass(frozen=True)
class Camera:
    """Hold a pose: position in metres and three orthonormal axes in world coordinates.

    A ray of the image is `forward + u · right + v · down` with |u|, |v| < tan_half_fov. It is not
    normalised, so its parameter at a hit is the z-depth.
    """

    position: Point
    right: Point
    down: Point
    forward: Point
    tan_half_fov: float
    seed: int

    def rays(self, side: int) -> Field:
        """Return the rays through the centres of a side × side image, three (side, side) arrays.

        Rows run down, columns to the right.
        """
        steps = ((np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1) * self.tan_half_fov
        x, y, z = (
            (ahead + steps * right)[None, :] + (steps * down)[:, None]
            for ahead, right, down in zip(self.forward, self.right, self.down, strict=True)
        )
        return x, y, z
