"""Open a data set on disk: plain `.npy` files, memory-mapped, one per client and label.

Layout of a store:

    manifest.json                     what the store holds, see `manifest.py` beside this file
    train/<client>/shard.json         files of one client with their SHA-256, names of its images
    train/<client>/rgb.npy …          one file per label
    validation/<client>/…             held-out data of the same clients
    test/<client>/…                   held-out data of the same clients
    test_unseen/<building>/…          buildings no client owns
    left_out.csv                      images an import had to leave out, and why

Mapping keeps start-up and memory small: only the labels a task group needs are ever read, and
processes share the page cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import DataError
from harness.workloads.multitask.data.label_arrays import LabelArrays, Stamp
from harness.workloads.multitask.data.manifest import (
    REMEDY,
    Description,
    ShardEntry,
    StoreManifest,
    read_manifest,
)
from harness.workloads.multitask.data.shard import ShardRecord, read_record
from harness.workloads.multitask.data.split import SPLITS, Split, shard_name

MOST_OPEN = 64
"""Buildings whose files stay open: opening them takes as long as reading a batch or two."""

MOST_OPEN_BYTES = 128 * 2**20
"""Size of the files that stay open; what was read of them counts as memory of the process."""


class Store:
    """Give access to one opened data set; make it with `open_store`.

    Attributes:
        path: Folder of the store.
        manifest: What it holds.
        stamps: Size and time of change of files when they were found right, or first opened.
    """

    def __init__(self, path: Path, manifest: StoreManifest) -> None:
        self.path = path
        self.manifest = manifest
        self.stamps: dict[Path, Stamp] = {}
        self._open: dict[tuple[Split, int], LabelArrays] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}  # maps would travel as copies of all their bytes

    @property
    def description(self) -> Description:
        """Say what the data set is."""
        return self.manifest.description

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.description.name

    @property
    def version(self) -> str:
        """Version of what made it."""
        return self.description.version

    @property
    def checksum(self) -> str:
        """SHA-256 over all files: equal for equal data on any machine."""
        return self.manifest.checksum

    @property
    def size_px(self) -> int:
        """Side of the pictures in pixels."""
        return self.description.size

    @property
    def tasks(self) -> str:
        """Letters of the tasks it can serve."""
        return self.description.tasks

    @property
    def masked(self) -> bool:
        """Whether targets may hold NaN, because the label `mask` marks invalid pixels."""
        return self.description.masked

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class ids."""
        return self.description.classes

    @property
    def depth_unit_m(self) -> float:
        """Metres per stored unit of depth."""
        return self.description.depth_unit_m

    @property
    def normalisation(self) -> Mapping[str, tuple[float, float]]:
        """Task -> (offset, scale): target = (stored - offset) / scale."""
        return self.description.normalisation

    @property
    def clients(self) -> tuple[str, ...]:
        """Names of the clients, in order."""
        return self.names("train")

    @property
    def images(self) -> int:
        """Number of images in all splits."""
        return sum(shard.images for shards in self.manifest.splits.values() for shard in shards)

    @property
    def bytes(self) -> int:
        """Size of all arrays in bytes, headers aside."""
        return self.images * self.description.image_bytes

    def names(self, split: Split) -> tuple[str, ...]:
        """Return the names of the clients (or buildings) of a split, in order."""
        return tuple(shard.client for shard in self._shards(split))

    def count(self, split: Split) -> int:
        """Return the number of buildings (clients) in a split."""
        return len(self._shards(split))

    def length(self, split: Split, client: int) -> int:
        """Return the number of images of one building in a split."""
        return self._shard(split, client).images

    def split(self, split: Split, client: int) -> Mapping[str, np.ndarray[Any, Any]]:
        """Return the arrays of one building; no array is opened before its label is asked for.

        The last few buildings stay open, for jobs that come back to them.

        Raises:
            DataError: If there is no such split or building, or if a file is missing or damaged.
        """
        key = (split, client)
        if key not in self._open:
            folder, files = self.folder(split, client), self.record(split, client).files
            arrays = LabelArrays(folder, files, self.stamps)
            while self._open and self._is_full(arrays.bytes):
                del self._open[next(iter(self._open))]
            self._open[key] = arrays
        return self._open[key]

    def _is_full(self, more: int) -> bool:
        """Say whether files of so many bytes more are too many to stay open."""
        size = more + sum(arrays.bytes for arrays in self._open.values())
        return len(self._open) >= MOST_OPEN or size > MOST_OPEN_BYTES

    def record(self, split: Split, client: int) -> ShardRecord:
        """Return the files, the names of the images and what was left out of one building.

        Raises:
            DataError: If there is none, or the record is missing, damaged, or does not fit.
        """
        shard = self._shard(split, client)
        folder = self.folder(split, client)
        record = read_record(folder, shard.record)
        labels = self.description.labels
        found = {label: (entry.dtype, entry.shape) for label, entry in record.files.items()}
        expected = {
            label: (stored.dtype, stored.shape(shard.images, self.size_px))
            for label, stored in labels.items()
        }
        if found != expected or len(record.images) != shard.images:
            message = f"{folder} lists other files than the manifest calls for."
            raise DataError(message, REMEDY)
        return record

    def folder(self, split: Split, client: int) -> Path:
        """Return the folder of one building."""
        return self.path / shard_name(split, self._shard(split, client).client)

    def _shards(self, split: Split) -> tuple[ShardEntry, ...]:
        if split not in SPLITS:
            remedy = f"Choose one of {', '.join(SPLITS)}."
            raise DataError(f"there is no split {split!r} in {self.path}.", remedy)
        return self.manifest.splits[split]

    def _shard(self, split: Split, client: int) -> ShardEntry:
        shards = self._shards(split)
        if not 0 <= client < len(shards):
            message = f"split {split} of {self.path} has no building {client}."
            raise DataError(message, f"It has {len(shards)}, numbered from 0.")
        return shards[client]


def open_store(path: Path) -> Store:
    """Open a store: its manifest is checked at once, each client's files when they are asked for.

    Before training use `harness.workloads.multitask.data.verify.verify`, which checks every file.

    Raises:
        DataError: If the store is missing, unfinished, of another format, or its manifest damaged.
    """
    return Store(path, read_manifest(path))
