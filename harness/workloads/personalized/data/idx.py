"""Read image sets in MNIST's IDX form, as Debian's package dataset-fashion-mnist installs one."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataError
from harness.workloads.personalized.data.images import Pictures, PictureSource, without_doubles

FASHION = Path("/usr/share/datasets/fashion-mnist")
FASHION_CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot",
)  # fmt: skip
PARTS = ("train", "t10k")
BYTES_KIND = 8
"""Type code of unsigned bytes."""

MOST_BYTES = 1 << 30


def is_idx_folder(folder: Path) -> bool:
    """Say whether a folder holds images in this form."""
    return any(_file(folder, part, "images-idx3").is_file() for part in PARTS)


def idx_folder(folder: Path, name: str, classes: tuple[str, ...] = ()) -> PictureSource:
    """Return all images of a folder, those of both parts.

    Raises:
        DataError: naming the file that is missing or damaged.
    """
    found = [_part(folder, part) for part in PARTS if _file(folder, part, "images-idx3").is_file()]
    if not found:
        raise DataError(f"{folder}: holds no train-images-idx3-ubyte.gz", "Name another folder.")
    images = np.concatenate([part[0] for part in found])
    labels = np.concatenate([part[1] for part in found]).astype(np.int64)
    grey = (images[:, None] / np.float32(255)).astype(np.float32)
    once, doubles = without_doubles(Pictures(grey, labels))
    count = int(labels.max()) + 1 if len(labels) else 0
    names = classes if len(classes) >= count else tuple(map(str, range(count)))
    note = f"{doubles} images that occur twice were left out" if doubles else ""
    return PictureSource(name, once, names, note=note)


def _file(folder: Path, part: str, kind: str) -> Path:
    packed = folder / f"{part}-{kind}-ubyte.gz"
    return packed if packed.is_file() else packed.with_suffix("")


def _part(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images_file, labels_file = (_file(folder, part, k) for k in ("images-idx3", "labels-idx1"))
    images, labels = read_idx(images_file), read_idx(labels_file)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        text = f"{images.shape} images in {images_file}, labels {labels.shape} in {labels_file}"
        raise DataError(text, "Take both files of one set.")
    return images, labels


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an array of bytes.

    Raises:
        DataError: if the file is missing, damaged or holds anything else.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            content = stream.read(MOST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}", "Get the file anew.") from None
    if len(content) < 4 or content[:3] != bytes([0, 0, BYTES_KIND]):
        raise DataError(f"{path}: is no IDX file of bytes", "Get the file anew.")
    rank = content[3]
    head = 4 + 4 * rank
    if len(content) < head:
        raise DataError(f"{path}: breaks off in its head", "Get the file anew.")
    shape = struct.unpack(f">{rank}I", content[4:head])
    if len(content) - head != math.prod(shape):
        text = f"{path}: has {len(content) - head} bytes, its head says {math.prod(shape)}"
        raise DataError(text, "Get the file anew.")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
