"""Write the arrays of one client image by image, all or nothing, and read what a shard holds."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from harness.core.disk import sync_folder
from harness.core.errors import DataError
from harness.workloads.multitask.data.files import (
    remove_folder,
    rename_durably,
    reported,
    sha256_of,
    write_durably,
)
from harness.workloads.multitask.data.label_format import LabelFormat
from harness.workloads.multitask.data.manifest import REMEDY, Description
from harness.workloads.multitask.data.split import Split, shard_name

RECORD = "shard.json"


class Picture(NamedTuple):
    """Hold one image with all labels of its data set, and a name that tells where it is from."""

    name: str
    arrays: Mapping[str, npt.NDArray[np.generic]]


class LeftOut(NamedTuple):
    """Say why an image could not be used: its name, and a reason for every file at fault."""

    name: str
    faults: tuple[tuple[str, str], ...]


class ShardJob(Protocol):
    """Name one shard to make, and make its pictures; it travels to worker processes."""

    @property
    def description(self) -> Description:
        """Return what data set the shard belongs to."""
        ...

    @property
    def split(self) -> Split:
        """Return the split of the shard."""
        ...

    @property
    def client(self) -> str:
        """Return the name of the client (or building)."""
        ...

    @property
    def images(self) -> int:
        """Return how many pictures or reasons for none there will be."""
        ...

    def pictures(self) -> Iterator[Picture | LeftOut]:
        """Yield every picture, or why there is none."""
        ...


@dataclass(frozen=True)
class FileEntry:
    """Describe one array file of a store."""

    sha256: str
    bytes: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ShardRecord:
    """Say what a shard holds: entries by label, names of its images, images left out and why."""

    files: dict[str, FileEntry]
    images: list[str]
    left_out: list[LeftOut]

    def to_json(self) -> str:
        """Return the text of `shard.json`."""
        content = {
            "files": {label: asdict(entry) for label, entry in self.files.items()},
            "images": self.images,
            "left_out": [[left.name, list(left.faults)] for left in self.left_out],
        }
        return json.dumps(content)


def write_shard(job: ShardJob, folder: Path, step: Callable[[], None]) -> None:
    """Make one shard in `folder`; memory stays constant, however many images it has.

    The shard appears under its final name only when all its files are on the disk.

    Args:
        job: What to make.
        folder: The unfinished store.
        step: Called after every image.

    Raises:
        DataError: If the disk is full, read-only or out of reach, or a source cannot be read.
    """
    staging = folder / f"tmp-{job.split}-{job.client}"
    final = folder / shard_name(job.split, job.client)
    names: list[str] = []
    left_out: list[LeftOut] = []
    with reported("write", staging):
        remove_folder(staging)
        staging.mkdir()
        with _Writers(staging, job.description) as writers:
            for picture in job.pictures():
                if isinstance(picture, LeftOut):
                    left_out.append(picture)
                else:
                    writers.add(picture.arrays)
                    names.append(picture.name)
                step()
            files = writers.finish(len(names)) if names else {}
        record = ShardRecord(files, names, left_out)
        write_durably(staging / RECORD, record.to_json().encode())
        sync_folder(staging)
        final.parent.mkdir(exist_ok=True)
        rename_durably(staging, final)


class _Writers:
    """Append images to one `.npy` file per label.

    Plain writes, because a mapped file on a full disk kills the process.
    """

    def __init__(self, folder: Path, description: Description) -> None:
        self._folder = folder
        self._labels = description.labels
        self._size = description.size
        self._stack = ExitStack()
        self._files: dict[str, io.BufferedWriter] = {}

    def __enter__(self) -> _Writers:
        for label, stored in self._labels.items():
            file = self._stack.enter_context((self._folder / f"{label}.npy").open("wb"))
            file.write(_header(stored, 0, self._size))
            self._files[label] = file
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Append one image."""
        for label, stored in self._labels.items():
            values = arrays[label]
            expected = stored.shape(1, self._size)[1:]
            if str(values.dtype) != stored.dtype or values.shape != expected:
                msg = f"{label}: {values.dtype} {values.shape}, not {stored.dtype} {expected}"
                raise ValueError(msg)
            self._files[label].write(np.ascontiguousarray(values).tobytes())

    def finish(self, images: int) -> dict[str, FileEntry]:
        """Enter the number of images and return what was written."""
        entries = {}
        for label, stored in self._labels.items():
            file, path = self._files[label], self._folder / f"{label}.npy"
            file.seek(0)
            file.write(_header(stored, images, self._size))
            file.flush()
            os.fsync(file.fileno())
            shape = stored.shape(images, self._size)
            entries[label] = FileEntry(sha256_of(path), path.stat().st_size, stored.dtype, shape)
        return entries


def _header(stored: LabelFormat, images: int, size: int) -> bytes:
    """Return the header of an array file; as long for any number of images (NumPy leaves room)."""
    shape = stored.shape(images, size)
    buffer = io.BytesIO()
    described = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(stored.dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def parse_record(path: Path, content: bytes) -> ShardRecord:
    """Read the record of a shard.

    Raises:
        DataError: If it is damaged.
    """
    try:
        values = json.loads(content)
        files = {label: _entry(stored) for label, stored in values["files"].items()}
        left_out = [
            LeftOut(str(name), tuple((str(file), str(reason)) for file, reason in faults))
            for name, faults in values["left_out"]
        ]
        return ShardRecord(files, [str(name) for name in values["images"]], left_out)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        message = f"{path} is damaged: expected a record, {type(error).__name__}: {error}."
        raise DataError(message, REMEDY) from error


def _entry(stored: Mapping[str, Any]) -> FileEntry:
    shape = tuple(int(length) for length in stored["shape"])
    return FileEntry(str(stored["sha256"]), int(stored["bytes"]), str(stored["dtype"]), shape)


def read_record(folder: Path, digest: str | None = None) -> ShardRecord:
    """Read the record of the shard in `folder`, which must have the SHA-256 `digest` if given.

    Raises:
        DataError: If it is missing or damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        raise DataError(f"{path} is missing: {folder} is no finished shard.", REMEDY)
    with reported("read", path):
        content = path.read_bytes()
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise DataError(f"{path} is damaged: expected SHA-256 {digest}.", REMEDY)
    return parse_record(path, content)


def is_finished(folder: Path, job: ShardJob) -> bool:
    """Tell whether an earlier run left this shard whole; every file is read and hashed."""
    shard = folder / shard_name(job.split, job.client)
    try:
        record = read_record(shard)
    except DataError:
        return False
    expected = set(job.description.labels) if record.images else set()
    made = len(record.images) + len(record.left_out)
    if set(record.files) != expected or made != job.images:
        return False
    with reported("read", shard):
        paths = [(shard / f"{label}.npy", entry) for label, entry in record.files.items()]
        return all(path.is_file() and sha256_of(path) == entry.sha256 for path, entry in paths)
