"""Measure how much the clients of a data set differ: classes, rooms, depth, light, edges."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.core.errors import DataUsageError
from harness.workloads.multitask.data.catalogue import SCENES
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.dealt import DealtStore
from harness.workloads.multitask.data.scenes.style import ROOM_TYPES
from harness.workloads.multitask.data.sources.grouping import thinned
from harness.workloads.multitask.data.sources.scenes import room_types
from harness.workloads.multitask.data.split import Split
from harness.workloads.multitask.data.store import Store
from models.multitask.tasks import SEMANTIC_CLASSES

EDGE_STEP = 16
"""Grey levels between neighbouring pixels from which on there is an edge."""

_LUMA = (77, 150, 29)  # of 256

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClientFigures:
    """Describe one client's images. What a data set cannot tell is None.

    Attributes:
        client: Its name.
        images: Number of its images.
        class_distance: Total variation between its shares of classes and the mean client's:
            0 for equal shares, 1 for no class in common. The ignored id 0 does not count.
        room_distance: The same for types of rooms.
        depth_m: Mean depth of valid pixels.
        depth_spread_m: Standard deviation of the depth of valid pixels.
        brightness: Mean brightness, 0 to 255.
        edge_share: Share of pixels that differ from the next one to the right or below by
            `EDGE_STEP` grey levels or more.
    """

    client: str
    images: int
    class_distance: float | None
    room_distance: float | None
    depth_m: float | None
    depth_spread_m: float | None
    brightness: float
    edge_share: float


@dataclass(frozen=True)
class Heterogeneity:
    """Hold the figures of all clients of one split, of at most `sampled` images each."""

    store: str
    checksum: str
    split: str
    sampled: int
    clients: tuple[ClientFigures, ...]

    def summary(self) -> dict[str, tuple[float, float, float] | None]:
        """Return for each figure the mean over clients, their standard deviation, the largest."""
        found: dict[str, tuple[float, float, float] | None] = {}
        for name in FIGURES:
            values = [getattr(client, name) for client in self.clients]
            known = [value for value in values if value is not None]
            found[name] = (
                (float(np.mean(known)), float(np.std(known)), max(known)) if known else None
            )
        return found

    def to_json(self) -> str:
        """Return everything as JSON."""
        summary = {
            name: None
            if row is None
            else dict(zip(("mean", "spread", "largest"), row, strict=True))
            for name, row in self.summary().items()
        }
        return json.dumps(asdict(self) | {"summary": summary}, indent=1) + "\n"

    def to_csv(self) -> str:
        """Return a row per client; what is not known is empty."""
        text = io.StringIO()
        rows = [asdict(client) for client in self.clients]
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def table(self) -> list[str]:
        """Return lines of at most 80 columns for people."""
        lines = [_HEAD, *(_line(client.client, asdict(client)) for client in self.clients)]
        for row, title in enumerate(("mean client", "spread", "largest")):
            values = {name: s and s[row] for name, s in self.summary().items()}
            lines.append(_line(title, values | {"images": None}))
        return lines


FIGURES = (
    "class_distance", "room_distance", "depth_m", "depth_spread_m", "brightness", "edge_share",
)  # fmt: skip
_HEAD = (
    f"{'client':<16}{'images':>7}{'classes':>9}{'rooms':>8}{'depth m':>9}{'± m':>7}"
    f"{'light':>8}{'edges %':>9}"
)


def _line(title: str, values: Mapping[str, Any]) -> str:
    edges = values["edge_share"]
    cells = (
        (values["images"], 7, "d"), (values["class_distance"], 9, ".3f"),
        (values["room_distance"], 8, ".3f"), (values["depth_m"], 9, ".2f"),
        (values["depth_spread_m"], 7, ".2f"), (values["brightness"], 8, ".1f"),
        (None if edges is None else 100 * edges, 9, ".1f"),
    )  # fmt: skip
    shown = ("–".rjust(w) if v is None else format(v, f">{w}{form}") for v, w, form in cells)
    return f"{title[:16]:<16}" + "".join(shown)


def measure(store: Store, split: Split, most_images: int) -> Heterogeneity:
    """Measure all clients of a split on at most `most_images` images each, spread evenly.

    Raises:
        DataUsageError: If the split is empty or no images are asked for.
    """
    if most_images < 1 or not store.count(split):
        message = f"{most_images} images of {store.count(split)} clients tell nothing."
        raise DataUsageError(message, "Ask for at least one image of a split that is not empty.")
    seen = [_look(store, split, client, most_images) for client in range(store.count(split))]
    classes = _distances([one.classes for one in seen])
    rooms = _distances([_room_shares(store, split, client) for client in range(len(seen))])
    clients = tuple(
        ClientFigures(
            store.names(split)[number], store.length(split, number), classes[number],
            rooms[number], one.depth_m, one.depth_spread_m, one.brightness, one.edge_share,
        )
        for number, one in enumerate(seen)
    )  # fmt: skip
    return Heterogeneity(store.name, store.checksum, split, most_images, clients)


@dataclass(frozen=True)
class _Seen:
    """Hold what one client's images show by themselves."""

    classes: Shares | None
    depth_m: float | None
    depth_spread_m: float | None
    brightness: float
    edge_share: float


def _look(store: Store, split: Split, client: int, most_images: int) -> _Seen:
    length = store.length(split, client)
    rows = thinned(range(length), min(1.0, most_images / length))
    arrays = store.split(split, client)
    grey = arrays["rgb"][rows].astype(np.int64) @ np.array(_LUMA) // 256
    depth_m, depth_spread_m = None, None
    if "d" in store.tasks:
        depth = arrays["d"][rows].astype(np.float64) * store.depth_unit_m
        valid = depth[arrays["mask"][rows] > 0] if store.masked else depth
        if valid.size:
            depth_m, depth_spread_m = float(valid.mean()), float(valid.std())
    classes = _shares(arrays["s"][rows]) if "s" in store.tasks else None
    return _Seen(classes, depth_m, depth_spread_m, float(grey.mean()), _edge_share(grey))


def _edge_share(grey: npt.NDArray[np.int64]) -> float:
    here = grey[:, :-1, :-1]
    across, down = np.abs(grey[:, :-1, 1:] - here), np.abs(grey[:, 1:, :-1] - here)
    return float((np.maximum(across, down) >= EDGE_STEP).mean())


def _shares(ids: npt.NDArray[np.generic]) -> Shares | None:
    counts = np.bincount(ids.astype(np.int64).ravel(), minlength=SEMANTIC_CLASSES).astype(float)
    counts[0] = 0
    total = counts.sum()
    return counts / total if total else None


def _room_shares(store: Store, split: Split, client: int) -> Shares | None:
    """Return the shares of room types; only generated rooms tell, and pictures that were dealt."""
    if isinstance(store, DealtStore) and split == "train":
        dealing = store.dealing
        return np.array([(dealing.labels[client] == c).mean() for c in dealing.classes])
    if store.name != SCENES:
        return None
    config = ScenesConfig(**store.description.source)
    counted = Counter(room_types(config, split, client))
    return np.array([counted[kind] for kind in ROOM_TYPES]) / counted.total()


def _distances(shares: Sequence[Shares | None]) -> list[float | None]:
    """Return the total variation between each client's shares and the mean of all."""
    known = [share for share in shares if share is not None]
    if not known:
        return [None] * len(shares)
    mean = np.mean(known, axis=0)
    return [None if s is None else float(np.abs(s - mean).sum() / 2) for s in shares]
