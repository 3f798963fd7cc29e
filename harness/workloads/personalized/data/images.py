"""Hold labelled images, and read those that are shipped, installed or in a folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
"""(images, channels, height, width), from 0 to 1."""

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Pictures:
    """Hold images with their labels; `labels` is None if nobody labelled them."""

    images: Images
    labels: Labels | None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, chosen: NDArray[np.intp]) -> Pictures:
        """Return some of them."""
        return Pictures(self.images[chosen], None if self.labels is None else self.labels[chosen])

    def named_labels(self) -> Labels:
        """Return the labels of images that have some."""
        assert self.labels is not None
        return self.labels


@dataclass(frozen=True)
class PictureSource:
    """Hold what a data set brings before it is divided among clients.

    Attributes:
        name: as typed.
        pictures: images that clients may own.
        classes: name of each label.
        public: images that no client owns, if the data set says which; else a share is drawn.
        note: what people should know, such as images that were left out.
    """

    name: str
    pictures: Pictures
    classes: tuple[str, ...]
    public: Pictures | None = None
    note: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        channels, height, width = self.pictures.images.shape[1:]
        return channels, height, width


def content(*parts: Pictures) -> str:
    """Return a checksum of images and labels."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part.images).tobytes())
        if part.labels is not None:
            digest.update(np.ascontiguousarray(part.labels).tobytes())
    return digest.hexdigest()[:16]


def without_doubles(pictures: Pictures) -> tuple[Pictures, int]:
    """Return each image once, in order, and how many were left out.

    A double might be in two sets, such as one to train on and one for tests.
    """
    seen: set[bytes] = set()
    keep = []
    for index, image in enumerate(pictures.images):
        key = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            keep.append(index)
    return pictures.take(np.array(keep, dtype=np.intp)), len(pictures) - len(keep)
