"""Read all labels of one picture and bring them to the size of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.workloads.multitask.data.picture_files import FaultyFileError, check_side, read_png
from harness.workloads.multitask.data.resize import area, nearest, triangle
from harness.workloads.multitask.data.shard import LeftOut, Picture
from harness.workloads.multitask.data.sources.taskonomy.layout import (
    CLASS_NAMES,
    CURVATURE_MEAN,
    CURVATURE_SPREAD,
    CURVATURE_STEPS,
    FARTHEST_VALID,
    LABELS,
    MASKS,
    RGB,
    Files,
    TaskonomyView,
)

Values = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Where:
    """Say which folders of a data set to read, and how.

    Attributes:
        root: Folder of the data set.
        folders: Label -> folder found for it; `rgb` and, if any, `mask` among them.
        source_px: Side of the images as they are.
        size: Side of the images in the store.
        faults: Names of the release's faults to repeat.
        masked: Whether to store which pixels are valid.
    """

    root: Path
    folders: Mapping[str, str]
    source_px: int
    size: int
    faults: tuple[str, ...]
    masked: bool

    def path(self, label: str, building: str, view: TaskonomyView) -> Path:
        """Return the file of one label of one picture, with either spelling of its domain."""
        folder = self.folders[label]
        spellings = (folder, *(f for f in files_of(label).folders if f != folder))
        paths = [self.root / folder / building / view.file(domain) for domain in spellings]
        return next((path for path in paths if path.exists()), paths[0])


def files_of(label: str) -> Files:
    """Return where the files of a label are; `rgb` and `mask` count as labels."""
    return {"rgb": RGB, "mask": MASKS, **LABELS}[label]


class TaskonomyReader:
    """Read pictures of one building one after the other."""

    def __init__(self, where: Where, labels: str, building: str) -> None:
        self._where = where
        self._labels = labels
        self._building = building
        self._previous: dict[str, npt.NDArray[np.int64]] = {}

    def read(self, view: TaskonomyView) -> Picture | LeftOut:
        """Return the picture with all labels; every file at fault is named if there is one."""
        faults: list[tuple[str, str]] = []
        raw: dict[str, npt.NDArray[np.int64]] = {}
        for label in self._needed():
            path = self._where.path(label, self._building, view)
            try:
                raw[label] = self._shrunk(label, path)
            except FaultyFileError as error:
                stale = "stale-labels" in self._where.faults and label in self._previous
                if stale and label != "rgb":
                    raw[label] = self._previous[label]
                else:
                    faults.append((str(path), str(error)))
        if faults:
            return LeftOut(view.stem, tuple(faults))
        self._previous = raw
        return Picture(view.stem, self._stored(raw))

    def _needed(self) -> list[str]:
        """Return what to read: the picture, the labels, and what tells where they are valid."""
        needed = ["rgb", *self._labels]
        if self._where.masked:
            validity = "mask" if "mask" in self._where.folders else "d"
            needed += [validity] if validity not in needed else []
        return needed

    def _shrunk(self, label: str, path: Path) -> npt.NDArray[np.int64]:
        where = self._where
        pixels = read_png(path, files_of(label).encoding)
        check_side(pixels, where.source_px, where.source_px)
        if label == "rgb":
            return area(pixels, where.size).astype(np.int64)
        if label == "s" and pixels.max() >= len(CLASS_NAMES):
            highest = len(CLASS_NAMES) - 1
            raise FaultyFileError(f"class id {pixels.max()}, expected 0 to {highest}")
        if "signed-16-bit" in where.faults and 16 in files_of(label).encoding.bits:
            signed = pixels.view(np.int16)
            return self._label_sized(signed)
        return self._label_sized(pixels)

    def _label_sized(self, pixels: Values) -> npt.NDArray[np.int64]:
        if "bilinear-labels" in self._where.faults:
            return triangle(pixels, self._where.size)
        return nearest(pixels, self._where.size).astype(np.int64)

    def _stored(self, raw: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, Values]:
        arrays: dict[str, Values] = {"rgb": raw["rgb"].astype(np.uint8)}
        for label in self._labels:
            dtype = stored_type(label, self._where.faults)
            arrays[label] = _CODES.get(label, _unchanged)(raw[label]).astype(dtype)
        if self._where.masked:
            valid = raw["mask"] > 0 if "mask" in raw else raw["d"] < FARTHEST_VALID
            arrays["mask"] = valid.astype(np.uint8)
        return arrays


def stored_type(label: str, faults: tuple[str, ...]) -> str:
    """Return the type a label is stored in."""
    dtype = files_of(label).stored.dtype
    grey_16 = 16 in files_of(label).encoding.bits
    return "int16" if grey_16 and "signed-16-bit" in faults else dtype


def _unchanged(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return values


def _reshading(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    total: npt.NDArray[np.int64] = values.sum(axis=-1)
    return total


def _curvature(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Normalise each of the two channels by its own constants."""
    normalised = (values[..., :2] / 255 - CURVATURE_MEAN) / CURVATURE_SPREAD
    return np.floor(normalised * CURVATURE_STEPS + 0.5).astype(np.int64)


_CODES: Mapping[str, Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]] = {
    "r": _reshading,
    "c": _curvature,
}
