"""Say of which class every training picture of a data set is: its room's type, or what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.core.errors import DataUsageError
from harness.workloads.multitask.data.catalogue import SCENES, classed_by
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.scenes import VIEWS_PER_ROOM
from harness.workloads.multitask.data.sources.scenes import room_types
from harness.workloads.multitask.data.store import Store
from models.multitask.tasks import SEMANTIC_CLASSES

IGNORED = 0
AT_ONCE = 512
"""Label maps that are counted together."""

Classes = Sequence[npt.NDArray[Any]]
"""Per building the class of each of its training pictures, in words."""


@lru_cache(maxsize=8)
def classes_of_rooms(config: ScenesConfig) -> Classes:
    """Return the types of the rooms that generated pictures show; no picture is needed."""
    return tuple(
        np.repeat(np.array(room_types(config, "train", client)), VIEWS_PER_ROOM)
        for client in range(config.clients)
    )


def classes_of_pictures(store: Store) -> Classes:
    """Return types of rooms where a data set knows them, else the class that covers most pixels.

    Pixels of the ignored id 0 count only where there are no others.

    Raises:
        DataUsageError: if a data set knows neither.
    """
    if store.name == SCENES:
        return classes_of_rooms(ScenesConfig(**store.description.source))
    by = classed_by(store.name, store.tasks)
    if not by:
        raise DataUsageError(
            f"{store.path} does not say of which class a picture is: it holds neither types of"
            " rooms nor the labels of task s.",
            "Leave --label-skew out, or import the data with task s.",
        )
    if by == "type of room":  # which clients are
        return [np.repeat(name, store.length("train", n)) for n, name in enumerate(store.clients)]
    names = np.array([*store.classes, *map(str, range(len(store.classes), SEMANTIC_CLASSES))])
    return [names[_most_frequent(store, building)] for building in range(store.count("train"))]


def _most_frequent(store: Store, building: int) -> npt.NDArray[np.int64]:
    ids = store.split("train", building)["s"]
    return np.concatenate(
        [most_frequent(np.asarray(ids[at : at + AT_ONCE])) for at in range(0, len(ids), AT_ONCE)]
    )


def most_frequent(ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the id that covers most of each label map (N, H, W), the least one of several."""
    flat = ids.reshape(len(ids), -1).astype(np.int64)
    rows = np.arange(len(flat))[:, None] * SEMANTIC_CLASSES
    counts = np.bincount((flat + rows).ravel(), minlength=len(flat) * SEMANTIC_CLASSES)
    counts = counts.reshape(len(flat), SEMANTIC_CLASSES)
    counts[:, IGNORED] = 0
    found: npt.NDArray[np.int64] = counts.argmax(axis=1)
    return found
