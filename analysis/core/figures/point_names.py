"""Write names beside points, where no other name or point is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from analysis.core.style import SMALL_PT

GAP_PT = 5.0
LETTER_PT = 0.6 * SMALL_PT
"""Mean width of a letter of the small size."""

HEIGHT_PT = 1.15 * SMALL_PT
_PLACES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
"""Where a name may stand, in steps from its point, the best first."""


@dataclass(frozen=True)
class _Box:
    """Hold a rectangle in points from the lower left corner of the axes."""

    left: float
    low: float
    right: float
    high: float

    def shared(self, other: _Box) -> float:
        """Return the area that both cover, in square points."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        tall = min(self.high, other.high) - max(self.low, other.low)
        return max(0.0, wide) * max(0.0, tall)


def write_names(
    ax: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    size_in: tuple[float, float],
) -> None:
    """Write the name of each point beside it; the limits of the axes must be final.

    Args:
        ax: Axes whose points are drawn.
        points: Places in data, those without a name (an empty text) too: no name covers them.
        names: A name for each point.
        size_in: Width and height of the axes, about, in inches.
    """
    wide, tall = 72 * size_in[0], 72 * size_in[1]
    places = []
    for point in points:
        x, y = ax.transAxes.inverted().transform(ax.transData.transform(point))
        places.append((x * wide, y * tall))
    taken = [_Box(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    # those at the right edge first, as they have fewer places to choose from
    for place, point, name in sorted(zip(places, points, names, strict=True), reverse=True):
        if not name:
            continue
        boxes = [(_box(place, step, name), step) for step in _PLACES]
        box, step = min(boxes, key=lambda found: _cost(found[0], taken, wide, tall))
        taken.append(box)
        ax.annotate(
            name, point, xytext=(GAP_PT * step[0], GAP_PT * step[1]), textcoords="offset points",
            ha=("right", "center", "left")[step[0] + 1],
            va=("top", "center", "bottom")[step[1] + 1], fontsize=SMALL_PT,
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )  # fmt: skip


def _box(place: tuple[float, float], step: tuple[int, int], name: str) -> _Box:
    """Return what a name covers that stands a step beside its place."""
    width = LETTER_PT * len(name)
    left = place[0] + GAP_PT * step[0] - width * (0.5 - 0.5 * step[0])
    low = place[1] + GAP_PT * step[1] - HEIGHT_PT * (0.5 - 0.5 * step[1])
    return _Box(left, low, left + width, low + HEIGHT_PT)


def _cost(box: _Box, taken: Sequence[_Box], wide: float, tall: float) -> float:
    """Return the area of others that a name would cover; out of the axes is worse than any."""
    outside = box.left < 0 or box.low < 0 or box.right > wide or box.high > tall
    return sum(box.shared(other) for other in taken) + 1e6 * outside
