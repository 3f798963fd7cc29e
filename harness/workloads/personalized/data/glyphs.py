"""Draw ten glyphs of strokes, each client in a hand of its own.

Classes differ by strokes, some pairs by one alone. A hand slants, stretches, presses and tints its
glyphs; every image adds jitter, noise and a stray stroke. Everything is sums, products and square
roots, so that the same seed gives the same images everywhere NumPy does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harness.workloads.personalized.data.images import Images, Labels

_LEFT, _RIGHT, _TOP, _BOTTOM, _MIDDLE = 0.3, 0.7, 0.1, 0.9, 0.5
_BOX = ((_LEFT, _TOP), (_RIGHT, _TOP), (_RIGHT, _BOTTOM), (_LEFT, _BOTTOM), (_LEFT, _TOP))

_LINES: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = (
    (_BOX,),
    (((0.5, _TOP), (0.5, _BOTTOM)), ((_LEFT, 0.25), (0.5, _TOP))),
    (((_LEFT, _TOP), (_RIGHT, _TOP), (_RIGHT, _MIDDLE), (_LEFT, _MIDDLE), (_LEFT, _BOTTOM),
      (_RIGHT, _BOTTOM)),),
    (((_LEFT, _TOP), (_RIGHT, _TOP), (_RIGHT, _BOTTOM), (_LEFT, _BOTTOM)),
     ((0.35, _MIDDLE), (_RIGHT, _MIDDLE))),
    (((_LEFT, _TOP), (_LEFT, _MIDDLE), (_RIGHT, _MIDDLE)), ((_RIGHT, _TOP), (_RIGHT, _BOTTOM))),
    (((_RIGHT, _TOP), (_LEFT, _TOP), (_LEFT, _MIDDLE), (_RIGHT, _MIDDLE), (_RIGHT, _BOTTOM),
      (_LEFT, _BOTTOM)),),
    (((_RIGHT, _TOP), (_LEFT, _TOP), (_LEFT, _BOTTOM), (_RIGHT, _BOTTOM), (_RIGHT, _MIDDLE),
      (_LEFT, _MIDDLE)),),
    (((_LEFT, _TOP), (_RIGHT, _TOP), (0.4, _BOTTOM)),),
    (_BOX, ((_LEFT, _MIDDLE), (_RIGHT, _MIDDLE))),
    (((_RIGHT, _MIDDLE), (_LEFT, _MIDDLE), (_LEFT, _TOP), (_RIGHT, _TOP), (_RIGHT, _BOTTOM)),),
)  # fmt: skip
"""Of each class its lines, as points in the unit square, y downwards."""

CLASSES = len(_LINES)
SIDE = 16
NOISE = 0.25
MOST_STROKES = 6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hand:
    """Hold how one client writes."""

    turn: float = 0.0
    slant: float = 0.0
    wide: float = 1.0
    tall: float = 1.0
    stroke: float = 0.07
    ink: float = 1.0
    paper: float = 0.0


def hand(random: np.random.Generator, strength: float) -> Hand:
    """Draw a hand; strength 0 gives the plain one."""
    u = random.uniform(-1, 1, 7) * strength
    return Hand(0.35 * u[0], 0.45 * u[1], 1 + 0.25 * u[2], 1 + 0.25 * u[3],
                0.07 * (1 + 0.45 * u[4]), 1 + 0.3 * u[5], 0.3 * u[6])  # fmt: skip


def _strokes() -> Floats:
    """Return (class, stroke, end, coordinate); a class with fewer strokes repeats its last."""
    rows = []
    for lines in _LINES:
        own = [(a, b) for line in lines for a, b in pairwise(line)]
        rows.append((own + [own[-1]] * MOST_STROKES)[:MOST_STROKES])
    return np.array(rows)


def draw(labels: Labels, how: Hand, random: np.random.Generator, side: int = SIDE) -> Images:
    """Draw one glyph per label, of one channel."""
    ends = _bent(_strokes()[labels] - 0.5, how, random)
    stray = random.uniform(0, 1, (len(labels), 1, 2, 2))
    stray[:, :, 1] = stray[:, :, 0] + random.uniform(-0.25, 0.25, (len(labels), 1, 2))
    distance = _distances(np.concatenate([ends, stray], 1), side)
    width = how.stroke * (1 + random.uniform(-0.3, 0.3, len(labels)))[:, None]
    ink = np.clip((width - distance) * side + 0.5, 0, 1) * how.ink
    found = ink + how.paper + random.normal(0, NOISE, ink.shape)
    return found.reshape(-1, 1, side, side).astype(np.float32)


def _bent(ends: Floats, how: Hand, random: np.random.Generator) -> Floats:
    """Turn, slant, stretch and move strokes about the origin by a hand and a jitter of it."""

    def jitter(most: float) -> Floats:
        found: Floats = random.uniform(-most, most, len(ends))[:, None, None]
        return found

    turn, slant = how.turn + jitter(0.25), how.slant + jitter(0.25)
    x = ends[..., 0] * how.wide * (1 + jitter(0.2))
    y = ends[..., 1] * how.tall * (1 + jitter(0.2))
    x = x + slant * y
    cosine, sine = 1 - turn**2 / 2, turn - turn**3 / 6  # polynomials: alike on every machine
    moved = np.stack([cosine * x - sine * y + jitter(0.1), sine * x + cosine * y + jitter(0.1)], -1)
    bent: Floats = moved + 0.5 + random.uniform(-0.04, 0.04, moved.shape)
    return bent


def _distances(ends: Floats, side: int) -> Floats:
    """Return the distance of each pixel to the nearest stroke."""
    grid = (np.arange(side) + 0.5) / side
    pixels = np.stack(np.meshgrid(grid, grid), -1).reshape(1, -1, 1, 2)
    start, way = ends[:, None, :, 0], ends[:, None, :, 1] - ends[:, None, :, 0]
    along = ((pixels - start) * way).sum(-1) / np.maximum((way * way).sum(-1), 1e-9)
    nearest = start + np.clip(along, 0, 1)[..., None] * way
    found: Floats = np.sqrt(((pixels - nearest) ** 2).sum(-1)).min(-1)
    return found
