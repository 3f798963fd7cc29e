"""Open a data set on disk: plain `.npy` files, memory-mapped, one per client and label.

Layout of `<cache>/scenes-<version>-<hash>/`:

    manifest.json                     what the store holds and the SHA-256 of every file
    train/client_00/rgb.npy …         per client one file per label of `LABELS`
    test/client_00/…                  held-out rooms of the same buildings
    test_unseen/client_00/…           buildings no client owns

Mapping keeps start-up and memory small: only the labels a task group needs are ever read, and
processes share the page cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.config import SPLITS, ScenesConfig, Split, shard_name
from harness.data.errors import DataError
from harness.data.files import reported, sha256_of
from harness.data.scenes import GENERATOR_VERSION
from harness.data.scenes.building import LABELS
from harness.data.scenes.classes import CLASS_NAMES
from harness.data.scenes.constants import NORMALISATION

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ALIASES = {"a": "rgb"}
"""Tasks whose target is another label's file: the autoencoder reproduces the picture."""

_REMEDY = "Delete the folder and let the harness make the data set again."


@dataclass(frozen=True)
class FileEntry:
    """Describe one array file of a store."""

    sha256: str
    bytes: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """Hold what `manifest.json` says, checked.

    Attributes:
        config: What was generated.
        files: Path inside the store -> description, sorted by path.
        images: Shard -> (room, view) of each image.
        checksum: SHA-256 over the SHA-256 of all files in the order of their paths.
    """

    config: ScenesConfig
    files: dict[str, FileEntry]
    images: dict[str, list[tuple[int, int]]]
    checksum: str

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        content = {
            "format_version": FORMAT_VERSION,
            "name": "scenes",
            "generator_version": GENERATOR_VERSION,
            "config": asdict(self.config),
            "checksum": self.checksum,
            "normalisation": {label: list(pair) for label, pair in NORMALISATION.items()},
            "classes": list(CLASS_NAMES),
            "files": {path: asdict(entry) for path, entry in self.files.items()},
            "images": self.images,
        }
        return json.dumps(content, indent=1) + "\n"


def overall_checksum(files: Mapping[str, FileEntry]) -> str:
    """Return the SHA-256 over the hashes of all files, sorted by path."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(files[path].sha256.encode())
    return digest.hexdigest()


def make_manifest(
    config: ScenesConfig,
    files: Mapping[str, FileEntry],
    images: Mapping[str, list[tuple[int, int]]],
) -> Manifest:
    """Return the manifest of a finished store."""
    ordered = {path: files[path] for path in sorted(files)}
    return Manifest(config, ordered, dict(images), overall_checksum(files))


class LabelArrays(Mapping[str, "np.memmap[Any, Any]"]):
    """Map each label of one shard to its memory-mapped array, opened when first asked for.

    Keys are the stored labels and the aliases (`a` is `rgb`). Arrays are read-only.
    """

    def __init__(self, folder: Path, entries: Mapping[str, FileEntry]) -> None:
        self._folder = folder
        self._entries = entries
        self._opened: dict[str, np.memmap[Any, Any]] = {}

    def __getitem__(self, label: str) -> np.memmap[Any, Any]:
        stored = ALIASES.get(label, label)
        if stored not in self._entries:
            raise KeyError(label)
        if stored not in self._opened:
            self._opened[stored] = _map_array(self._folder / f"{stored}.npy", self._entries[stored])
        return self._opened[stored]

    def __iter__(self) -> Iterator[str]:
        yield from self._entries
        yield from ALIASES

    def __len__(self) -> int:
        return len(self._entries) + len(ALIASES)


def _map_array(path: Path, entry: FileEntry) -> np.memmap[Any, Any]:
    """Map a file and check that its header says what the manifest says."""
    expected = f"expected {entry.dtype} of shape {entry.shape}"
    try:
        with reported("read", path):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"{path} is damaged: {expected}, {error}.", _REMEDY) from error
    if array.dtype != np.dtype(entry.dtype) or array.shape != entry.shape:
        found = f"found {array.dtype} of shape {array.shape}"
        raise DataError(f"{path} is damaged: {expected}, {found}.", _REMEDY)
    return array  # type: ignore[no-any-return]


class Store:
    """Give access to one opened data set; make it with `open_store`.

    Attributes:
        name: Always `scenes`.
        version: Version of the generator that made the data.
        path: Folder of the store.
        manifest: What it holds.
    """

    name = "scenes"

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.version = GENERATOR_VERSION

    @property
    def config(self) -> ScenesConfig:
        """Parameters the data was generated with."""
        return self.manifest.config

    @property
    def checksum(self) -> str:
        """SHA-256 over all files: equal for equal data on any machine."""
        return self.manifest.checksum

    @property
    def size_px(self) -> int:
        """Side of the pictures in pixels."""
        return self.config.size

    @property
    def clients(self) -> tuple[str, ...]:
        """Names of the clients, in order."""
        return tuple(f"client_{number:02d}" for number in range(self.config.clients))

    @property
    def normalisation(self) -> Mapping[str, tuple[float, float]]:
        """Label -> (offset, scale): target = (stored - offset) / scale."""
        return NORMALISATION

    def count(self, split: Split) -> int:
        """Return the number of buildings (clients) in a split."""
        return self.config.count(split)

    def length(self, split: Split, client: int) -> int:
        """Return the number of images of one building in a split."""
        self._check(split, client)
        return self.config.length(split)

    def split(self, split: Split, client: int) -> LabelArrays:
        """Return the arrays of one building; nothing is read before a label is asked for.

        Raises:
            DataError: If there is no such split or building, or, on access, if a file is damaged.
        """
        self._check(split, client)
        shard = shard_name(split, client)
        entries = {label: self.manifest.files[f"{shard}/{label}.npy"] for label in LABELS}
        return LabelArrays(self.path / shard, entries)

    def places(self, split: Split, client: int) -> list[tuple[int, int]]:
        """Return (room, view) of each image."""
        self._check(split, client)
        return list(self.manifest.images[shard_name(split, client)])

    def _check(self, split: Split, client: int) -> None:
        if split not in SPLITS:
            remedy = f"Choose one of {', '.join(SPLITS)}."
            raise DataError(f"there is no split {split!r} in {self.path}.", remedy)
        if not 0 <= client < self.count(split):
            message = f"split {split} of {self.path} has no building {client}."
            raise DataError(message, f"It has {self.count(split)}, numbered from 0.")


def open_store(path: Path, verify: bool = False) -> Store:
    """Open a store and check that nothing is missing.

    Versions, presence and sizes of all files are checked; with `verify` also every SHA-256.

    Raises:
        DataError: If the store is missing, of another version or damaged; the message names the
            file and what was expected of it.
    """
    manifest = _read_manifest(path / MANIFEST)
    for name, entry in manifest.files.items():
        _check_file(path / name, entry, verify)
    return Store(path, manifest)


def _check_file(path: Path, entry: FileEntry, verify: bool) -> None:
    with reported("read", path):
        if not path.is_file():
            message = f"{path} is missing: expected {entry.bytes} bytes."
            raise DataError(message, _REMEDY)
        size = path.stat().st_size
        if size != entry.bytes:
            message = f"{path} is damaged: expected {entry.bytes} bytes, found {size}."
            raise DataError(message, _REMEDY)
        if verify:
            found = sha256_of(path)
            if found != entry.sha256:
                message = f"{path} is damaged: expected SHA-256 {entry.sha256}, found {found}."
                raise DataError(message, _REMEDY)


def _read_manifest(path: Path) -> Manifest:
    if not path.is_file():
        raise DataError(f"{path} is missing: this is no finished data set.", _REMEDY)
    with reported("read", path):
        text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text)
        _check_versions(path, content)
        manifest = _parse(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path} is damaged: expected a manifest, {type(error).__name__}: {error}."
        raise DataError(message, _REMEDY) from error
    _check_contents(path, manifest)
    return manifest


def _check_versions(path: Path, content: Mapping[str, Any]) -> None:
    wanted = {
        "format_version": FORMAT_VERSION,
        "name": "scenes",
        "generator_version": GENERATOR_VERSION,
    }
    for key, value in wanted.items():
        if content[key] != value:
            message = f"{path} has {key} {content[key]!r}, expected {value!r}."
            raise DataError(message, "Use the harness that made it, or make the data set again.")


def _parse(content: Mapping[str, Any]) -> Manifest:
    files = {
        name: FileEntry(
            str(entry["sha256"]), int(entry["bytes"]), str(entry["dtype"]), tuple(entry["shape"])
        )
        for name, entry in content["files"].items()
    }
    images = {
        shard: [(int(room), int(view)) for room, view in places]
        for shard, places in content["images"].items()
    }
    return Manifest(ScenesConfig(**content["config"]), files, images, str(content["checksum"]))


def _check_contents(path: Path, manifest: Manifest) -> None:
    """Check that the manifest lists exactly the files its own parameters call for."""
    expected = expected_shapes(manifest.config)
    for name in sorted(expected.keys() | manifest.files.keys()):
        entry = manifest.files.get(name)
        found = None if entry is None else (entry.dtype, entry.shape)
        if found != expected.get(name):
            message = f"{path} lists {name} as {found}, expected {expected.get(name)}."
            raise DataError(message, _REMEDY)
    checksum = overall_checksum(manifest.files)
    if checksum != manifest.checksum:
        message = f"{path} is damaged: expected checksum {manifest.checksum}, found {checksum}."
        raise DataError(message, _REMEDY)


def expected_shapes(config: ScenesConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of every file a store of this configuration holds."""
    return {
        f"{shard_name(split, client)}/{label}.npy": (
            stored.dtype,
            stored.shape(config.length(split), config.size),
        )
        for split in SPLITS
        for client in range(config.count(split))
        for label, stored in LABELS.items()
    }
