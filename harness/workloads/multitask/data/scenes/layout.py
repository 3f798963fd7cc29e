"""Find room for things: stretches of wall and free rectangles of floor; metres."""

from __future__ import annotations

from harness.workloads.multitask.data.scenes.rng import Rng
from harness.workloads.multitask.data.scenes.scene import Footprint, RenderedView, Scene
from harness.workloads.multitask.data.scenes.vectors import Turn

WALLS = 4
# Turns that point local +y at the walls -x, +x, -y, +y, so that -y faces the room.
_WALL_TURNS: tuple[Turn, ...] = ((0.0, 1.0), (0.0, -1.0), (-1.0, 0.0), (1.0, 0.0))


class RoomLayout:
    """Keep track of what is taken in one room."""

    def __init__(self, scene: Scene, rng: Rng) -> None:
        self._scene = scene
        self._rng = rng
        self._taken: list[list[tuple[float, float]]] = [[] for _ in range(WALLS)]

    def wall_length(self, wall: int) -> float:
        """Return the length of a wall."""
        return self._scene.size[1] if wall < 2 else self._scene.size[0]

    def wall_frame(self, wall: int, along: float, gap: float = 0.0) -> RenderedView:
        """Return a frame that stands `gap` off the wall with its back to it."""
        half_x, half_y = self._scene.size[0] / 2, self._scene.size[1] / 2
        x, y = (
            (-half_x + gap, along),
            (half_x - gap, -along),
            (along, -half_y + gap),
            (-along, half_y - gap),
        )[wall]
        return RenderedView(self._scene, (x, y, 0.0), _WALL_TURNS[wall])

    def wall_slot(self, wall: int, width: float, tries: int = 6) -> float | None:
        """Reserve a stretch of wall; return its middle along the wall, None if there is none."""
        if self.wall_length(wall) < width + 0.2:
            return None
        reach = self.wall_length(wall) / 2 - width / 2 - 0.08
        for _ in range(tries):
            along = self._rng.uniform(-1.0, 1.0) * reach
            if all(abs(along - at) > (width + w) / 2 + 0.04 for at, w in self._taken[wall]):
                self._taken[wall].append((along, width))
                return along
        return None

    def is_wall_free(self, wall: int, along: float, width: float, lowest: float = 0.0) -> bool:
        """Tell whether a stretch holds nothing wider than `lowest`."""
        taken = self._taken[wall]
        return all(abs(along - at) > (width + w) / 2 or w < lowest for at, w in taken)

    def is_floor_free(self, spot: Footprint) -> bool:
        """Tell whether a rectangle lies in the room and touches no other."""
        if abs(spot.x) + spot.half_x > self._scene.size[0] / 2:
            return False
        if abs(spot.y) + spot.half_y > self._scene.size[1] / 2:
            return False
        return all(
            abs(spot.x - other.x) > spot.half_x + other.half_x
            or abs(spot.y - other.y) > spot.half_y + other.half_y
            for other in self._scene.footprints
        )

    def place_at_wall(self, size: tuple[float, float], tries: int = 8) -> RenderedView | None:
        """Reserve floor at a wall for a piece of the given width and depth."""
        width, depth = size
        for _ in range(tries):
            wall = self._rng.integer(0, WALLS)
            along = self.wall_slot(wall, width, 2)
            if along is None:
                continue
            frame = self.wall_frame(wall, along, 0.02 + depth / 2)
            half = (depth / 2, width / 2) if wall < 2 else (width / 2, depth / 2)
            spot = Footprint(frame.origin[0], frame.origin[1], *half)
            if self.is_floor_free(spot):
                self._scene.footprints.append(spot)
                return frame
            self._taken[wall].pop()
        return None

    def place_free(
        self, size: tuple[float, float], turn: Turn, tries: int = 10
    ) -> RenderedView | None:
        """Reserve floor anywhere for a piece turned by `turn`."""
        cosine, sine = abs(turn[0]), abs(turn[1])
        half_x = (cosine * size[0] + sine * size[1]) / 2
        half_y = (sine * size[0] + cosine * size[1]) / 2
        reach_x = self._scene.size[0] / 2 - half_x - 0.1
        reach_y = self._scene.size[1] / 2 - half_y - 0.1
        for _ in range(tries):
            x = self._rng.uniform(-1.0, 1.0) * reach_x
            y = self._rng.uniform(-1.0, 1.0) * reach_y
            spot = Footprint(x, y, half_x, half_y)
            if self.is_floor_free(spot):
                self._scene.footprints.append(spot)
                return RenderedView(self._scene, (x, y, 0.0), turn)
        return None
