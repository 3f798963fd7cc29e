"""Open a data set and divide it among the clients of a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.core.errors import DataError
from harness.federated.random_streams import random_stream
from harness.workloads.personalized.data.digits import digits
from harness.workloads.personalized.data.folder import image_folder
from harness.workloads.personalized.data.glyphs import CLASSES, draw, hand
from harness.workloads.personalized.data.idx import (
    FASHION,
    FASHION_CLASSES,
    idx_folder,
    is_idx_folder,
)
from harness.workloads.personalized.data.images import Pictures, PictureSource, content
from harness.workloads.personalized.data.split import LEAST_CLASSES, Division, divide

GLYPHS = "glyphs"
DATA_SETS: Mapping[str, str] = {
    "digits": "1,797 handwritten digits of 8×8, shipped (UCI, CC BY 4.0)",
    GLYPHS: "drawn glyphs of 16×16, every client in a hand of its own, generated",
    "fashion-mnist": f"70,000 garments of 28×28, if Debian's package has put them into {FASHION}",
}

GLYPHS_EACH = 100
"""Images of a client, before some of them are held out for tests."""

LEAST_PUBLIC_GLYPHS = 200

HANDS = 12
"""In how many hands the public glyphs are drawn."""


@dataclass(frozen=True)
class ClientImages:
    """Hold a client's images for training and for tests, as tensors."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def why_not_counted(self) -> str:
        """Return why its accuracy says nothing; empty if it does."""
        if not len(self.test_labels):
            return "has no test images"
        if len(set(self.train_labels.tolist())) < LEAST_CLASSES:
            return "has one class alone"
        return ""


@dataclass(frozen=True)
class Club:
    """Hold the data of a federation for one seed; `public_labels` is None if nobody gave any."""

    clients: tuple[ClientImages, ...]
    public_images: Tensor
    public_labels: Tensor | None
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width) of an image."""
        channels, height, width = self.public_images.shape[1:]
        return channels, height, width

    @property
    def counted(self) -> tuple[int, ...]:
        """Return the clients whose accuracy goes into means."""
        return tuple(i for i, c in enumerate(self.clients) if not c.why_not_counted)

    @property
    def public_bytes(self) -> int:
        """Return the bytes in which public images travel: one a pixel, and one a label."""
        return self.public_images.numel() + (0 if self.public_labels is None else len(self))

    def __len__(self) -> int:
        return len(self.public_images)


@dataclass(frozen=True)
class DataSettings:
    """Say which data, and how they are divided.

    With `labels` false those of public images are thrown away; of the data `keep` images are taken,
    None for all. `style` says how far hands of generated glyphs differ.
    """

    name: str
    division: Division
    data_seed: int = 0
    labels: bool = True
    style: float = 1.0
    keep: int | None = None


@dataclass(frozen=True)
class Data:
    """Hold an opened data set; clubs of seeds are made of it."""

    settings: DataSettings
    source: PictureSource
    _clubs: dict[int, Club] = field(default_factory=dict)

    def club(self, seed: int) -> Club:
        """Return the data of a seed: who owns which images is drawn by it."""
        if seed not in self._clubs:
            self._clubs.clear()  # methods of a seed follow one another
            self._clubs[seed] = self._divided(seed)
        return self._clubs[seed]

    @property
    def checksum(self) -> str:
        """Return what tells these data from others."""
        parts = [self.source.pictures, *([self.source.public] if self.source.public else [])]
        return content(*parts)

    def _divided(self, seed: int) -> Club:
        settings, source = self.settings, self.source
        random = random_stream(settings.data_seed, "images", seed)
        if settings.name == GLYPHS:
            return _glyphs(settings, random)
        pictures = source.pictures
        if settings.keep is not None and settings.keep < len(pictures):
            chosen = random.permutation(len(pictures))[: settings.keep]
            pictures = pictures.take(np.sort(chosen))
        shares = divide(
            pictures.named_labels(), settings.division, random, public=source.public is None
        )
        public = source.public or pictures.take(shares.public)
        clients = tuple(
            _client(pictures.take(train), pictures.take(test))
            for train, test in zip(shares.train, shares.test, strict=True)
        )
        return _club(clients, public, len(source.classes), labels=settings.labels)


def open_data(settings: DataSettings) -> Data:
    """Open a data set by name, or a folder.

    Raises:
        DataError: if it is not here or damaged.
    """
    return Data(settings, _source(settings.name))


@lru_cache(maxsize=2)
def _source(name: str) -> PictureSource:
    if name == "digits":
        return digits()
    if name == GLYPHS:
        empty = Pictures(np.zeros((0, 1, 16, 16), np.float32), np.zeros(0, np.int64))
        return PictureSource(GLYPHS, empty, tuple(map(str, range(CLASSES))))
    if name == "fashion-mnist":
        if not is_idx_folder(FASHION):
            raise DataError(
                f"{FASHION}: the data set is not installed",
                "On Debian and Ubuntu: apt install dataset-fashion-mnist",
            )
        return idx_folder(FASHION, name, FASHION_CLASSES)
    folder = Path(name).expanduser()
    return idx_folder(folder, name) if is_idx_folder(folder) else image_folder(folder)


def _glyphs(settings: DataSettings, random: np.random.Generator) -> Club:
    """Draw glyphs: per client a mix of classes in its own hand, public ones in other hands."""
    how = settings.division
    each = GLYPHS_EACH if settings.keep is None else max(settings.keep // how.clients, 1)
    labels = np.repeat(np.arange(CLASSES), -(-each * how.clients // CLASSES)).astype(np.int64)
    shares = divide(labels, how, random, public=False)
    clients = []
    for train, test in zip(shares.train, shares.test, strict=True):
        own = hand(random, settings.style)
        clients.append(_client(*(Pictures(draw(labels[part], own, random), labels[part])
                                 for part in (train, test))))  # fmt: skip
    count = max(int(how.public_share * len(labels)), LEAST_PUBLIC_GLYPHS)
    public = (np.arange(count) % CLASSES).astype(np.int64)
    drawn = [draw(part, hand(random, settings.style), random)
             for part in np.array_split(public, HANDS)]  # fmt: skip
    pictures = Pictures(np.concatenate(drawn), public)
    return _club(tuple(clients), pictures, CLASSES, labels=settings.labels)


def _client(train: Pictures, test: Pictures) -> ClientImages:
    return ClientImages(
        torch.from_numpy(train.images), torch.from_numpy(train.named_labels()),
        torch.from_numpy(test.images), torch.from_numpy(test.named_labels()),
    )  # fmt: skip


def _club(
    clients: tuple[ClientImages, ...], public: Pictures, classes: int, *, labels: bool
) -> Club:
    known = public.labels if labels else None
    found = None if known is None else torch.from_numpy(known)
    return Club(clients, torch.from_numpy(public.images), found, classes)
