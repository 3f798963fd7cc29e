"""Describe a store in one small file, so that it opens in milliseconds with a thousand clients.

`manifest.json` names the shards and the SHA-256 of each shard's own record; the records list the
files and images and are read only when their client is. So every byte of a store hangs on its
manifest, which itself carries the SHA-256 of its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import DataError
from harness.workloads.multitask.data.files import reported
from harness.workloads.multitask.data.label_format import LabelFormat
from harness.workloads.multitask.data.split import SPLITS, Split

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
REMEDY = "Delete the folder and make or import the data set again."

_SHARD_COLUMNS = ("clients", "images", "records")


@dataclass(frozen=True)
class Description:
    """Say what a data set is, apart from its images.

    Attributes:
        name: `scenes`, `taskonomy`, `nyuv2`, or what the owner of a folder calls it.
        version: Version of what made it; other versions may give other bytes.
        source: Everything its bytes follow from.
        size: Side of the pictures in pixels.
        tasks: Letters of the tasks it can serve.
        labels: Stored label -> format; `mask` (1 valid, 0 not) is one of them if `masked`.
        normalisation: Task -> (offset, scale): target = (stored - offset) / scale.
        classes: Names of the class ids from 0 on; 0 is ignored. Empty without task `s`.
        depth_unit_m: Metres per stored unit of depth; 0 without task `d`.
        protocol: How images were divided into splits.
        masked: Whether pixels may be invalid.
    """

    name: str
    version: str
    source: Mapping[str, Any]
    size: int
    tasks: str
    labels: Mapping[str, LabelFormat]
    normalisation: Mapping[str, tuple[float, float]]
    classes: tuple[str, ...]
    depth_unit_m: float
    protocol: str
    masked: bool = False

    @property
    def image_bytes(self) -> int:
        """Return the bytes one image takes with all its labels."""
        return sum(
            _ITEM_BYTES[label.dtype] * max(1, label.channels) * self.size * self.size
            for label in self.labels.values()
        )


_ITEM_BYTES = {"uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "int32": 4, "float32": 4}


@dataclass(frozen=True)
class ShardEntry:
    """Name one client's part of a split, its number of images and the SHA-256 of its record."""

    client: str
    images: int
    record: str


@dataclass(frozen=True)
class StoreManifest:
    """Hold what `manifest.json` says, checked.

    Attributes:
        description: What the data set is.
        splits: Split -> its shards, in the order of client numbers.
        checksum: SHA-256 over the SHA-256 of all files sorted by path: equal for equal data.
        left_out: Images that a source names but the store lacks; `left_out.csv` says why.
    """

    description: Description
    splits: Mapping[Split, tuple[ShardEntry, ...]]
    checksum: str
    left_out: int = field(default=0)

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        content = {
            "format_version": FORMAT_VERSION,
            **asdict(self.description),
            "checksum": self.checksum,
            "left_out": self.left_out,
            "splits": {
                split: {
                    "clients": [shard.client for shard in shards],
                    "images": [shard.images for shard in shards],
                    "records": [shard.record for shard in shards],
                }
                for split, shards in self.splits.items()
            },
        }
        return json.dumps({"sha256": content_hash(content), **content}, indent=1) + "\n"


def content_hash(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest's content, the hash itself aside."""
    kept = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> StoreManifest:
    """Read and check the manifest of a store.

    Raises:
        DataError: If it is missing, of another format or damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{path} is missing: this is no finished data set.", REMEDY)
    with reported("read", path):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = json.loads(text)
        _check_format(path, content)
        if content["sha256"] != content_hash(content):
            raise ValueError("its content is not what its SHA-256 says")
        return _parse(content)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        message = f"{path} is damaged: expected a manifest, {type(error).__name__}: {error}."
        raise DataError(message, REMEDY) from error


def _check_format(path: Path, content: Mapping[str, Any]) -> None:
    found = content["format_version"]
    if found != FORMAT_VERSION:
        message = f"{path} has format_version {found!r}, expected {FORMAT_VERSION!r}."
        raise DataError(message, "Use the harness that made it, or make the data set again.")


def _parse(content: Mapping[str, Any]) -> StoreManifest:
    description = Description(
        name=str(content["name"]),
        version=str(content["version"]),
        source=dict(content["source"]),
        size=int(content["size"]),
        tasks=str(content["tasks"]),
        labels={label: LabelFormat(**stored) for label, stored in content["labels"].items()},
        normalisation={
            task: (float(offset), float(scale))
            for task, (offset, scale) in content["normalisation"].items()
        },
        classes=tuple(content["classes"]),
        depth_unit_m=float(content["depth_unit_m"]),
        protocol=str(content["protocol"]),
        masked=bool(content["masked"]),
    )
    splits = {split: _shards(content["splits"][split]) for split in SPLITS}
    return StoreManifest(description, splits, str(content["checksum"]), int(content["left_out"]))


def _shards(columns: Mapping[str, Any]) -> tuple[ShardEntry, ...]:
    values = [columns[name] for name in _SHARD_COLUMNS]
    return tuple(
        ShardEntry(str(client), int(images), str(record))
        for client, images, record in zip(*values, strict=True)
    )
