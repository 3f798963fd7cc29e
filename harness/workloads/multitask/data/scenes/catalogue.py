"""List the furniture: how large each item is, where it may stand and who builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.workloads.multitask.data.scenes import seating, small_things, storage
from harness.workloads.multitask.data.scenes.builder import Builder
from harness.workloads.multitask.data.scenes.rng import Rng
from harness.workloads.multitask.data.scenes.scene import RenderedView
from harness.workloads.multitask.data.scenes.seating import Size

Range = tuple[float, float]


@dataclass(frozen=True)
class FurnitureItem:
    """Describe one kind of furniture; ranges of width and depth in metres."""

    width: Range
    depth: Range
    place: Literal["wall", "free"]
    build: Callable[[Builder, RenderedView, Size], None]

    def draw_size(self, rng: Rng) -> Size:
        """Draw width and depth."""
        return rng.uniform(*self.width), rng.uniform(*self.depth)


ITEMS: dict[str, FurnitureItem] = {
    "sofa": FurnitureItem((1.4, 2.2), (0.8, 0.95), "wall", seating.add_sofa),
    "coffee table": FurnitureItem((0.6, 1.1), (0.5, 0.8), "free", seating.add_coffee_table),
    "shelf": FurnitureItem((0.7, 1.4), (0.32, 0.32), "wall", storage.add_shelf),
    "television": FurnitureItem((1.2, 1.7), (0.4, 0.4), "wall", storage.add_television),
    "plant": FurnitureItem((0.4, 0.4), (0.4, 0.4), "wall", small_things.add_plant),
    "floor lamp": FurnitureItem((0.4, 0.4), (0.4, 0.4), "wall", small_things.add_floor_lamp),
    "sideboard": FurnitureItem((0.6, 1.4), (0.42, 0.42), "wall", storage.add_sideboard),
    "chair": FurnitureItem((0.5, 0.5), (0.5, 0.5), "free", seating.add_chair),
    "bed": FurnitureItem((0.95, 1.8), (2.0, 2.0), "wall", seating.add_bed),
    "wardrobe": FurnitureItem((0.9, 1.8), (0.6, 0.6), "wall", storage.add_wardrobe),
    "night stand": FurnitureItem((0.45, 0.45), (0.4, 0.4), "wall", storage.add_night_stand),
    "desk": FurnitureItem((1.1, 1.7), (0.7, 0.7), "wall", storage.add_desk),
    "kitchen unit": FurnitureItem((1.2, 2.6), (0.6, 0.6), "wall", storage.add_kitchen_unit),
    "table": FurnitureItem((0.9, 1.6), (0.8, 1.1), "free", seating.add_table),
    "toilet": FurnitureItem((0.45, 0.45), (0.7, 0.7), "wall", storage.add_toilet),
    "sink": FurnitureItem((0.65, 0.65), (0.5, 0.5), "wall", storage.add_sink),
    "bath tub": FurnitureItem((1.65, 1.65), (0.75, 0.75), "wall", storage.add_bath_tub),
    "boxes": FurnitureItem((0.5, 0.5), (0.5, 0.5), "free", storage.add_boxes),
}

Plan = tuple[tuple[str, float], ...]

PLANS: dict[str, Plan] = {
    "living": (
        ("sofa", 1), ("sofa", 0.5), ("coffee table", 0.9), ("shelf", 0.7), ("television", 0.9),
        ("plant", 0.8), ("floor lamp", 0.7), ("rug", 0.8), ("sideboard", 0.5), ("chair", 0.5),
    ),
    "bedroom": (
        ("bed", 1), ("wardrobe", 0.9), ("night stand", 0.8), ("night stand", 0.5), ("rug", 0.5),
        ("chair", 0.4), ("plant", 0.3), ("desk", 0.4), ("floor lamp", 0.3),
    ),
    "kitchen": (
        ("kitchen unit", 1), ("kitchen unit", 0.7), ("kitchen unit", 0.4), ("table", 0.6),
        ("chair", 0.8), ("chair", 0.6), ("wardrobe", 0.4), ("plant", 0.2),
    ),
    "office": (
        ("desk", 1), ("desk", 0.7), ("desk", 0.4), ("chair", 1), ("chair", 0.8), ("chair", 0.5),
        ("shelf", 0.9), ("shelf", 0.5), ("sideboard", 0.6), ("plant", 0.5),
    ),
    "bathroom": (
        ("toilet", 1), ("sink", 1), ("bath tub", 0.7), ("sideboard", 0.4), ("rug", 0.5),
    ),
    "dining": (
        ("table", 1), ("chair", 1), ("chair", 1), ("chair", 0.9), ("chair", 0.7),
        ("sideboard", 0.8), ("plant", 0.5), ("rug", 0.5), ("shelf", 0.3),
    ),
    "corridor": (
        ("sideboard", 0.6), ("plant", 0.5), ("rug", 0.7), ("chair", 0.2), ("shelf", 0.3),
    ),
    "storage": (
        ("shelf", 1), ("shelf", 0.9), ("shelf", 0.6), ("boxes", 1), ("boxes", 1),
        ("sideboard", 0.5), ("table", 0.3),
    ),
}  # fmt: skip
"""What stands in each type of room, with its probability in an ordinary building."""
