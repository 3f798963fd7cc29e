"""Plan the store of generated rooms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.workloads.multitask.data.build import BuildPlan
from harness.workloads.multitask.data.config import TASKS, UNSEEN_BUILDING, ScenesConfig
from harness.workloads.multitask.data.manifest import Description
from harness.workloads.multitask.data.scenes import GENERATOR_VERSION
from harness.workloads.multitask.data.scenes.building import LABELS, building_views
from harness.workloads.multitask.data.scenes.classes import CLASS_NAMES
from harness.workloads.multitask.data.scenes.constants import NORMALISATION
from harness.workloads.multitask.data.scenes.room import type_of_room
from harness.workloads.multitask.data.scenes.style import room_style
from harness.workloads.multitask.data.shard import Picture
from harness.workloads.multitask.data.split import SPLITS, Split

NAME = "scenes"


def client_name(number: int) -> str:
    """Return the name of a client."""
    return f"client_{number:02d}"


def building_number(split: Split, client: int) -> int:
    """Return which building of the generated world a client of a split is."""
    return client + (UNSEEN_BUILDING if split == "test_unseen" else 0)


def describe(config: ScenesConfig) -> Description:
    """Return what the data set is."""
    return Description(
        name=NAME,
        version=GENERATOR_VERSION,
        source=config.source(),
        size=config.size,
        tasks=TASKS,
        labels=LABELS,
        normalisation=NORMALISATION,
        classes=CLASS_NAMES,
        depth_unit_m=0.001,
        protocol="held-out rooms of every building; unseen buildings apart",
    )


@dataclass(frozen=True)
class RoomsJob:
    """Render the rooms of one building that belong to one split."""

    config: ScenesConfig
    split: Split
    number: int

    @property
    def description(self) -> Description:
        """Return what data set the shard belongs to."""
        return describe(self.config)

    @property
    def client(self) -> str:
        """Return the name of the client."""
        return client_name(self.number)

    @property
    def images(self) -> int:
        """Return the number of pictures."""
        return self.config.length(self.split)

    def pictures(self) -> Iterator[Picture]:
        """Yield every picture."""
        config = self.config
        building = building_number(self.split, self.number)
        rooms = config.rooms(self.split)
        for view in building_views(config.seed, building, rooms, config.size, config.skew):
            yield Picture(f"room_{view.room:02d}_view_{view.view}", view.arrays)


def plan_scenes(config: ScenesConfig) -> BuildPlan:
    """Return what to make for a configuration."""
    jobs = [RoomsJob(config, split, n) for split in SPLITS for n in range(config.count(split))]
    return BuildPlan(config.folder_name(), describe(config), jobs)


def room_types(config: ScenesConfig, split: Split, client: int) -> list[str]:
    """Return the type of every room of one building in a split."""
    building = building_number(split, client)
    return [
        type_of_room(
            config.seed, building, room, room_style(config.seed, building, room, config.skew)
        )
        for room in config.rooms(split)
    ]
