"""Generate and write the arrays of one building, all or nothing."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.config import UNSEEN_BUILDING, ScenesConfig, Split, shard_name
from harness.data.files import (
    remove_folder,
    rename_durably,
    reported,
    sha256_of,
    sync_folder,
    write_durably,
)
from harness.data.scenes.building import LABELS, building_views
from harness.data.store import FileEntry

_RECORD = "shard.json"


@dataclass(frozen=True)
class Job:
    """Name one shard to generate."""

    config: ScenesConfig
    split: Split
    client: int

    @property
    def name(self) -> str:
        """Folder of the shard inside the store."""
        return shard_name(self.split, self.client)

    @property
    def images(self) -> int:
        """Number of images in the shard."""
        return self.config.length(self.split)

    @property
    def building(self) -> int:
        """Number of the building in the generated world."""
        return self.client + (UNSEEN_BUILDING if self.split == "test_unseen" else 0)


@dataclass(frozen=True)
class ShardRecord:
    """Say what a finished shard holds: entries by label, (room, view) by image."""

    files: dict[str, FileEntry]
    images: list[tuple[int, int]]


def write_shard(job: Job, folder: Path, step: Callable[[], None]) -> None:
    """Generate one shard into `folder`.

    The shard appears under its final name only when all its files are on the disk.

    Args:
        job: What to generate.
        folder: The unfinished store.
        step: Called after every image.

    Raises:
        DataError: If the disk is full, read-only or out of reach.
    """
    arrays, places = _generate(job, step)
    staging = folder / f"tmp-{job.split}-{job.client:02d}"
    with reported("write", staging):
        remove_folder(staging)
        staging.mkdir()
        files = {label: _write(staging / f"{label}.npy", arrays[label]) for label in LABELS}
        record = {
            "files": {label: asdict(entry) for label, entry in files.items()},
            "images": places,
        }
        write_durably(staging / _RECORD, json.dumps(record).encode())
        sync_folder(staging)
        final = folder / job.name
        final.parent.mkdir(exist_ok=True)
        rename_durably(staging, final)


def _generate(
    job: Job, step: Callable[[], None]
) -> tuple[dict[str, npt.NDArray[Any]], list[tuple[int, int]]]:
    config = job.config
    arrays = {
        label: np.empty(stored.shape(job.images, config.size), stored.dtype)
        for label, stored in LABELS.items()
    }
    places = []
    rooms = config.rooms(job.split)
    views = building_views(config.seed, job.building, rooms, config.size, config.skew)
    for number, view in enumerate(views):
        for label, array in arrays.items():
            array[number] = view.arrays[label]
        places.append((view.room, view.view))
        step()
    return arrays, places


def _write(path: Path, array: npt.NDArray[Any]) -> FileEntry:
    """Write one array; through memory, because a mapped file on a full disk kills the process."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    content = buffer.getvalue()
    write_durably(path, content)
    digest = hashlib.sha256(content).hexdigest()
    return FileEntry(digest, len(content), str(array.dtype), array.shape)


def read_record(folder: Path, job: Job) -> ShardRecord:
    """Read what a finished shard holds.

    Raises:
        ValueError: If the record is damaged.
    """
    with reported("read", folder / job.name):
        text = (folder / job.name / _RECORD).read_text(encoding="utf-8")
    content = json.loads(text)
    try:
        files = {
            label: FileEntry(**(content["files"][label] | {"shape": tuple(stored["shape"])}))
            for label, stored in content["files"].items()
        }
        images = [(int(room), int(view)) for room, view in content["images"]]
    except (KeyError, TypeError) as error:
        msg = f"{folder / job.name / _RECORD} is damaged: {error}"
        raise ValueError(msg) from error
    return ShardRecord(files, images)


def is_finished(folder: Path, job: Job) -> bool:
    """Tell whether an earlier run left this shard whole; every file is read and hashed."""
    shard = folder / job.name
    if not (shard / _RECORD).is_file():
        return False
    try:
        record = read_record(folder, job)
    except ValueError:
        return False
    if set(record.files) != set(LABELS) or len(record.images) != job.images:
        return False
    with reported("read", shard):
        paths = [(shard / f"{label}.npy", entry) for label, entry in record.files.items()]
        return all(path.is_file() and sha256_of(path) == entry.sha256 for path, entry in paths)
