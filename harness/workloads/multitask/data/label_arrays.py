"""Map the label files of one shard into memory, and notice if they change while they are in use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import DataError
from harness.workloads.multitask.data.files import reported, sha256_of
from harness.workloads.multitask.data.manifest import REMEDY
from harness.workloads.multitask.data.shard import FileEntry

ALIASES = {"a": "rgb"}
"""Tasks whose target is another label's file: the autoencoder reproduces the picture."""

Stamp = tuple[int, int]
"""Size in bytes and time of change in ns of a file."""


@dataclass
class _Opened:
    """Hold one mapped file; its name as text and its last stamp make looking at it cheap."""

    path: Path
    name: str
    entry: FileEntry
    array: np.memmap[Any, Any]
    stamp: Stamp | None = None


class LabelArrays(Mapping[str, "np.memmap[Any, Any]"]):
    """Map each label of one shard to its memory-mapped array, opened when first asked for.

    Keys are the stored labels and the aliases (`a` is `rgb`). Arrays are read-only. `bytes` is the
    size of all files.
    """

    def __init__(
        self, folder: Path, entries: Mapping[str, FileEntry], stamps: dict[Path, Stamp]
    ) -> None:
        self._folder = folder
        self._entries = entries
        self._stamps = stamps
        self._opened: dict[str, _Opened] = {}
        self.bytes = sum(entry.bytes for entry in entries.values())

    def __getitem__(self, label: str) -> np.memmap[Any, Any]:
        stored = ALIASES.get(label, label)
        if stored not in self._entries:
            raise KeyError(label)
        opened = self._opened.get(stored) or self._open(stored)
        self._watch(opened)
        return opened.array

    def _open(self, stored: str) -> _Opened:
        path, entry = self._folder / f"{stored}.npy", self._entries[stored]
        opened = _Opened(path, str(path), entry, _map_array(path, entry))
        self._opened[stored] = opened
        return opened

    def _watch(self, opened: _Opened) -> None:
        """Look at every access whether the file was touched, and if so whether it is still right.

        A map of a file that was cut short would end the process, and one of other content would be
        trained on. A look takes two microseconds.
        """
        path, entry = opened.path, opened.entry
        found = stamp(opened.name, entry)
        if found == opened.stamp:
            return
        if self._stamps.setdefault(path, found) != found:
            check_size(path, entry)
            with reported("read", path):
                digest = sha256_of(path)
            if digest != entry.sha256:
                message = f"{path} was changed while it was in use: its SHA-256 is now {digest}."
                raise DataError(message, REMEDY)
            self._stamps[path] = found
        opened.stamp = found

    def __iter__(self) -> Iterator[str]:
        yield from self._entries
        yield from ALIASES

    def __len__(self) -> int:
        return len(self._entries) + len(ALIASES)


def stamp(path: Path | str, entry: FileEntry) -> Stamp:
    """Return what changes when a file is written to: its size and its time of change.

    Raises:
        DataError: if the file is gone.
    """
    try:
        seen = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, and this is a hot path
    except OSError:
        check_size(Path(path), entry)
        raise
    return seen.st_size, seen.st_mtime_ns


def check_size(path: Path, entry: FileEntry) -> None:
    """Check that a file is there and as long as it should be.

    Raises:
        DataError: naming the file, and the size expected and found.
    """
    with reported("read", path):
        if not path.is_file():
            raise DataError(f"{path} is missing: expected {entry.bytes} bytes.", REMEDY)
        size = path.stat().st_size
    if size != entry.bytes:
        message = f"{path} is damaged: expected {entry.bytes} bytes, found {size}."
        raise DataError(message, REMEDY)


def _map_array(path: Path, entry: FileEntry) -> np.memmap[Any, Any]:
    """Map a file and check that its header says what the record says."""
    check_size(path, entry)
    expected = f"expected {entry.dtype} of shape {entry.shape}"
    try:
        with reported("read", path):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"{path} is damaged: {expected}, {error}.", REMEDY) from error
    if array.dtype != np.dtype(entry.dtype) or array.shape != entry.shape:
        found = f"found {array.dtype} of shape {array.shape}"
        raise DataError(f"{path} is damaged: {expected}, {found}.", REMEDY)
    return array  # type: ignore[no-any-return]
