"""Generate the labelled pictures of one building, room by room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.workloads.multitask.data.label_format import LabelFormat
from harness.workloads.multitask.data.scenes import VIEWS_PER_ROOM
from harness.workloads.multitask.data.scenes.camera import Camera
from harness.workloads.multitask.data.scenes.labels import SUPERSAMPLING, all_labels, develop
from harness.workloads.multitask.data.scenes.raycast import cast
from harness.workloads.multitask.data.scenes.room import make_room
from harness.workloads.multitask.data.scenes.scene import Scene
from harness.workloads.multitask.data.scenes.shading import gather, illuminate
from harness.workloads.multitask.data.scenes.style import room_style
from harness.workloads.multitask.data.scenes.viewpoint import choose_camera

LABELS: dict[str, LabelFormat] = {
    "rgb": LabelFormat("uint8", 3, "picture, red green blue; also the target of task a"),
    "s": LabelFormat("uint8", 0, "semantic class, 0 void"),
    "d": LabelFormat("uint16", 0, "z-depth in millimetres, 0 invalid"),
    "n": LabelFormat("int8", 3, "normal in camera axes (right, down, forward) × 127"),
    "k": LabelFormat("uint8", 0, "two-dimensional key points: box-filter Hessian"),
    "t": LabelFormat("uint8", 0, "texture edges: Sobel magnitude of the picture"),
    "e": LabelFormat("uint8", 0, "occlusion edges: bend of inverse depth"),
    "r": LabelFormat("uint8", 0, "reshading: plaster lit from the camera"),
    "c": LabelFormat("int8", 2, "principal curvatures k1 >= k2, 127 · k / (|k| + 5 per metre)"),
}


class View(NamedTuple):
    """Hold one labelled picture and where it was taken."""

    room: int
    view: int
    arrays: dict[str, npt.NDArray[np.generic]]


def render(scene: Scene, camera: Camera, size: int) -> dict[str, npt.NDArray[np.generic]]:
    """Render a size × size picture with all labels; keys, types and shapes as in `LABELS`."""
    side = size * SUPERSAMPLING
    hits = cast(scene, camera, side)
    points = gather(scene, camera, hits)
    light = illuminate(scene, points, camera.seed)
    picture = develop(light, scene.style, side, camera.seed)
    return all_labels(hits, points, camera, picture)


def building_views(
    seed: int, building: int, rooms: range, size: int, skew: float
) -> Iterator[View]:
    """Yield `VIEWS_PER_ROOM` labelled pictures of each room of a building.

    Args:
        seed: Number of the world.
        building: Number of the building.
        rooms: Rooms to visit; each is built from its number alone, in any order.
        size: Side of the pictures in pixels.
        skew: How strictly rooms follow their building's style, see `style.room_style`.
    """
    for room in rooms:
        scene = make_room(seed, building, room, room_style(seed, building, room, skew))
        for view in range(VIEWS_PER_ROOM):
            camera = choose_camera(scene, seed, building, room, view)
            yield View(room, view, render(scene, camera, size))
