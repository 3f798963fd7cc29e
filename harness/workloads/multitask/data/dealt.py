"""Deal the training pictures of a data set to its clients anew, so that their classes differ.

Buildings then no longer are clients: a client has pictures of many. Validation and test pictures
stay where they are, as models are tested on all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.core.errors import DataError
from harness.federated.partition import few_classes, mixed_classes, unlikeness
from harness.federated.random_streams import random_stream
from harness.workloads.multitask.data.catalogue import Layout
from harness.workloads.multitask.data.image_classes import Classes
from harness.workloads.multitask.data.label_skew import DIRICHLET, LabelSkew
from harness.workloads.multitask.data.split import Split
from harness.workloads.multitask.data.store import MOST_OPEN_BYTES, Store


@dataclass(frozen=True)
class Dealing:
    """Hold whose picture is whose: by client pairs of building and row, and their classes."""

    skew: LabelSkew
    places: tuple[npt.NDArray[np.int64], ...]
    labels: tuple[npt.NDArray[Any], ...]
    unlikeness: float
    classes: tuple[str, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Return how many pictures each client has."""
        return tuple(len(own) for own in self.places)

    @cached_property
    def digest(self) -> str:
        """Return a checksum of who has what."""
        hashed = hashlib.sha256()
        for own in self.places:
            hashed.update(len(own).to_bytes(8, "little") + own.astype("<i8").tobytes())
        return hashed.hexdigest()

    @property
    def words(self) -> str:
        """Return what people read of it."""
        return (
            f"{len(self.places)} with {min(self.lengths)} to {max(self.lengths)} training images,"
            f" {self.skew.words} ({len(self.classes)} classes; mean distance from the mean client"
            f" {self.unlikeness:.2f})"
        )

    def told(self) -> dict[str, Any]:
        """Return it for a manifest."""
        return {
            **asdict(self.skew), "by": list(self.classes), "unlikeness": self.unlikeness,
            "digest": self.digest,
        }  # fmt: skip

    def layout(self, layout: Layout) -> Layout:
        """Return what is left of a layout once pictures are dealt."""
        return Layout(
            layout.tasks, layout.size, {**layout.lengths, "train": self.lengths}, layout.bytes
        )


def deal(skew: LabelSkew, classes: Classes) -> Dealing:
    """Deal every training picture to one client.

    Raises:
        DataError: if there are fewer pictures than clients, or a class would be nobody's.
    """
    labels = np.concatenate(list(classes))
    if len(labels) < skew.clients:
        text = f"{len(labels)} training pictures for {skew.clients} clients are too few."
        raise DataError(text, "Lower --clients.")
    buildings = np.repeat(np.arange(len(classes)), [len(own) for own in classes])
    rows = np.concatenate([np.arange(len(own)) for own in classes])
    random = random_stream(skew.seed, "label skew", skew.kind)
    if skew.kind == DIRICHLET:
        owned = mixed_classes(labels, skew.clients, skew.concentration, random)
    else:
        owned = few_classes(labels, skew.clients, skew.classes_each, random)
    places = tuple(np.stack([buildings[own], rows[own]], axis=1) for own in owned)
    names = tuple(np.unique(labels).tolist())
    of_clients = tuple(labels[own] for own in owned)
    return Dealing(skew, places, of_clients, unlikeness(labels, owned), names)


class DealtStore(Store):
    """Be a store whose training pictures belong to other clients.

    The pictures of a client are gathered in memory, label by label; those of the last few clients
    stay there.
    """

    def __init__(self, store: Store, dealing: Dealing) -> None:
        super().__init__(store.path, store.manifest)
        self.stamps = store.stamps
        self.dealing = dealing
        self._gathered: dict[int, _Gathered] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_gathered": {}}

    @property
    def checksum(self) -> str:
        """SHA-256 over the files' own and over who has what."""
        return hashlib.sha256(f"{super().checksum}/{self.dealing.digest}".encode()).hexdigest()

    def names(self, split: Split) -> tuple[str, ...]:
        """Return the names of the clients (or buildings) of a split, in order."""
        if split != "train":
            return super().names(split)
        return tuple(f"client_{number:02d}" for number in range(len(self.dealing.places)))

    def count(self, split: Split) -> int:
        """Return the number of clients (or buildings) in a split."""
        return len(self.dealing.places) if split == "train" else super().count(split)

    def length(self, split: Split, client: int) -> int:
        """Return the number of pictures of one client (or building) in a split."""
        if split != "train":
            return super().length(split, client)
        return len(self._places(client))

    def split(self, split: Split, client: int) -> Mapping[str, npt.NDArray[Any]]:
        """Return the arrays of one client; none is gathered before its label is asked for.

        Raises:
            DataError: If there is no such split or client, or if a file is missing or damaged.
        """
        if split != "train":
            return super().split(split, client)
        if client not in self._gathered:
            own = _Gathered(self._of_building, self._places(client), self.description.image_bytes)
            while self._gathered and own.bytes + self._gathered_bytes > MOST_OPEN_BYTES:
                del self._gathered[next(iter(self._gathered))]
            self._gathered[client] = own
        return self._gathered[client]

    def _of_building(self, building: int) -> Mapping[str, npt.NDArray[Any]]:
        return super().split("train", building)

    @property
    def _gathered_bytes(self) -> int:
        return sum(own.bytes for own in self._gathered.values())

    def _places(self, client: int) -> npt.NDArray[np.int64]:
        if not 0 <= client < len(self.dealing.places):
            message = f"no client {client} was dealt pictures of {self.path}."
            raise DataError(message, f"There are {len(self.dealing.places)}, numbered from 0.")
        return self.dealing.places[client]


class _Gathered(Mapping[str, npt.NDArray[Any]]):
    """Map each label to an array of pictures that come from several buildings.

    `bytes` is the size of all arrays, whether they are here or not.
    """

    def __init__(
        self,
        opened: Callable[[int], Mapping[str, npt.NDArray[Any]]],
        places: npt.NDArray[np.int64],
        image_bytes: int,
    ) -> None:
        self._opened = opened
        self._places = places
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self.bytes = len(places) * image_bytes

    def __getitem__(self, label: str) -> npt.NDArray[Any]:
        if label not in self._arrays:
            self._arrays[label] = self._gather(label)
        return self._arrays[label]

    def _gather(self, label: str) -> npt.NDArray[Any]:
        buildings, rows = self._places.T
        first = self._opened(int(buildings[0]))[label]
        found = np.empty((len(rows), *first.shape[1:]), first.dtype)
        for building in np.unique(buildings).tolist():
            own = buildings == building
            found[own] = np.asarray(self._opened(building)[label]).take(rows[own], 0)
        found.flags.writeable = False
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened(int(self._places[0, 0])))

    def __len__(self) -> int:
        return len(self._opened(int(self._places[0, 0])))
