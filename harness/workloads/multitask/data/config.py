"""Say which `scenes` data set is wanted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from harness.core.errors import DataUsageError
from harness.workloads.multitask.data.catalogue import Layout
from harness.workloads.multitask.data.manifest import FORMAT_VERSION
from harness.workloads.multitask.data.scenes import GENERATOR_VERSION, VIEWS_PER_ROOM
from harness.workloads.multitask.data.split import SPLITS, Split

UNSEEN_BUILDING = 1_000_000
"""Number of the first building no client owns: clear of any client's number."""

TASKS = "sdnkterca"
IMAGE_BYTES_PER_PIXEL = 15
"""Bytes of all labels: rgb 3, s 1, d 2, n 3, k 1, t 1, e 1, r 1, c 2."""

_HELD_OUT_SHARE = 8
_SIZES_PX = (16, 512)
_MOST_CLIENTS = 1000
_MOST_IMAGES = 1 << 16


def _require(condition: bool, message: str, remedy: str) -> None:
    if not condition:
        raise DataUsageError(f"scenes: {message}.", remedy)


def _require_images(name: str, images: int, rooms: int) -> None:
    low = rooms * VIEWS_PER_ROOM
    fits = low <= images <= _MOST_IMAGES and images % VIEWS_PER_ROOM == 0
    _require(
        fits,
        f"{name} = {images} cannot be built",
        f"Rooms have {VIEWS_PER_ROOM} pictures each: "
        f"choose a multiple of {VIEWS_PER_ROOM} from {low} to {_MOST_IMAGES}.",
    )


@dataclass(frozen=True)
class ScenesConfig:
    """Choose the world, its size and how much the clients differ.

    Attributes:
        seed: Number of the world.
        clients: Buildings that train, one per client.
        images: Pictures per client to train and test on. The test has the last eighth, whole
            rooms; as many further rooms are made for validation.
        unseen_buildings: Further buildings that nobody trains on.
        unseen_images: Pictures per unseen building.
        size: Side of the pictures in pixels.
        skew: 0 for clients that are alike, 1 for clients that follow their own style throughout.

    Raises:
        DataError: If a value is impossible; the remedy says what is possible.
    """

    seed: int = 1
    clients: int = 16
    images: int = 96
    unseen_buildings: int = 4
    unseen_images: int = 16
    size: int = 64
    skew: float = 1.0

    def __post_init__(self) -> None:
        """Check every value."""
        self._check_types()
        _require(0 <= self.seed < 1 << 63, f"seed = {self.seed}", "Choose 0 or a positive number.")
        _require(
            1 <= self.clients <= _MOST_CLIENTS,
            f"clients = {self.clients} cannot be built",
            f"Choose 1 to {_MOST_CLIENTS}.",
        )
        _require(
            0 <= self.unseen_buildings <= _MOST_CLIENTS,
            f"unseen_buildings = {self.unseen_buildings} cannot be built",
            f"Choose 0 to {_MOST_CLIENTS}.",
        )
        _require_images("images", self.images, 2)
        _require_images("unseen_images", self.unseen_images, 1)
        low, high = _SIZES_PX
        _require(
            low <= self.size <= high and self.size % 8 == 0,
            f"size = {self.size} px cannot be rendered",
            f"Choose a multiple of 8 from {low} to {high}.",
        )
        _require(0.0 <= self.skew <= 1.0, f"skew = {self.skew}", "Choose a number from 0 to 1.")

    def _check_types(self) -> None:
        for name, value in asdict(self).items():
            number = isinstance(value, int) and not isinstance(value, bool)
            if name == "skew":
                number = number or isinstance(value, float)
            _require(number, f"{name} = {value!r} is not a number of the right kind", "Correct it.")

    @property
    def held_out_rooms(self) -> int:
        """Return how many rooms of each client's building are test data, and validation again."""
        return max(1, self.images // VIEWS_PER_ROOM // _HELD_OUT_SHARE)

    def rooms(self, split: Split) -> range:
        """Return the rooms of one building that make up its share of a split."""
        rooms = self.images // VIEWS_PER_ROOM
        first_held_out = rooms - self.held_out_rooms
        if split == "train":
            return range(first_held_out)
        if split == "test":
            return range(first_held_out, rooms)
        if split == "validation":
            return range(rooms, rooms + self.held_out_rooms)
        return range(self.unseen_images // VIEWS_PER_ROOM)

    def length(self, split: Split) -> int:
        """Return the number of pictures one building has in a split."""
        return len(self.rooms(split)) * VIEWS_PER_ROOM

    def count(self, split: Split) -> int:
        """Return the number of buildings in a split."""
        return self.unseen_buildings if split == "test_unseen" else self.clients

    def layout(self) -> Layout:
        """Return how many clients and images there will be."""
        lengths = {split: (self.length(split),) * self.count(split) for split in SPLITS}
        size_bytes = sum(map(sum, lengths.values())) * IMAGE_BYTES_PER_PIXEL * self.size**2
        return Layout(TASKS, self.size, lengths, size_bytes)

    def source(self) -> dict[str, float]:
        """Return plain values for a manifest; skew = 1 and skew = 1.0 are the same data."""
        return asdict(self) | {"skew": float(self.skew)}

    def folder_name(self) -> str:
        """Return the name of the store: equal for equal data, different otherwise."""
        values = self.source() | {"generator": GENERATOR_VERSION, "format": FORMAT_VERSION}
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
        return f"scenes-{GENERATOR_VERSION}-{digest[:12]}"
