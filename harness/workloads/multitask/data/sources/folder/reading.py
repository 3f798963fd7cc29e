"""Read the files of one picture and check each against what the first picture's files were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.workloads.multitask.data.label_format import LabelFormat
from harness.workloads.multitask.data.picture_files import (
    CLASSES,
    MASK,
    RGB8,
    Encoding,
    FaultyFileError,
    check_side,
    read_png,
)
from harness.workloads.multitask.data.resize import area, centre_square, nearest
from harness.workloads.multitask.data.shard import LeftOut, Picture
from harness.workloads.multitask.data.sources.folder.settings import FolderSettings
from models.multitask.tasks import TASKS

RGB = "rgb"
MASK_LABEL = "mask"
RGB_FORMAT = LabelFormat("uint8", 3, "picture, red green blue")
MASK_FORMAT = LabelFormat("uint8", 0, "1 where labels are valid")

_GREY = Encoding((8, 16), ("grey",))
_STORED_TYPES = ("uint8", "int8", "uint16", "int16", "int32", "float32")

Values = npt.NDArray[np.generic]


def read_label(path: Path, task: str) -> Values:
    """Return one label as its file holds it, shape (H, W) or (H, W, C).

    Raises:
        FaultyFileError: if it is missing, broken, of a wrong type or shape, or holds NaN.
    """
    if path.suffix == ".npy":
        values = _read_array(path)
    else:
        values = read_png(path, _encoding(task))
        if values.dtype == np.uint16 and _bits(path) == 8:
            values = values.astype(np.uint8)
    channels = TASKS[task].channels if task != "s" else 1
    shape = values.shape[2:] if values.ndim == 3 else ()
    if shape != ((channels,) if channels > 1 else ()) or values.ndim not in (2, 3):
        expected = f"(H, W, {channels})" if channels > 1 else "(H, W)"
        raise FaultyFileError(f"array of {values.ndim} axes {values.shape}, expected {expected}")
    return values


def _encoding(task: str) -> Encoding:
    if task == "s":
        return CLASSES
    return RGB8 if TASKS[task].channels == 3 else _GREY


def _bits(path: Path) -> int:
    """Return the bits per channel in the header of a PNG file that was read before."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _read_array(path: Path) -> Values:
    try:
        values: Values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FaultyFileError("missing") from None
    except (OSError, ValueError, EOFError):
        raise FaultyFileError("no .npy file, or broken") from None
    if values.dtype.kind == "f":
        values = values.astype(np.float32)
        if not np.isfinite(values).all():
            reason = "NaN or infinite values; mark invalid pixels in mask/ or by invalid"
            raise FaultyFileError(reason)
    if str(values.dtype) not in _STORED_TYPES:
        raise FaultyFileError(f"type {values.dtype}, expected {' '.join(_STORED_TYPES)} or float")
    return values


def label_file(part: Path, label: str, stem: str) -> Path:
    """Return the file of a label: NAME.npy if it is there, else NAME.png."""
    array = part / label / f"{stem}.npy"
    return array if array.exists() else part / label / f"{stem}.png"


@dataclass(frozen=True)
class ExpectedImage:
    """Say what all pictures of a data set have in common: size in pixels and label formats."""

    height: int
    width: int
    labels: Mapping[str, LabelFormat]


class FolderReader:
    """Read the pictures of one client and split."""

    def __init__(self, settings: FolderSettings, expected: ExpectedImage, part: Path) -> None:
        self._settings = settings
        self._expected = expected
        self._part = part

    def read(self, stem: str) -> Picture | LeftOut:
        """Return the picture with all labels; every file at fault is named if there is one."""
        faults: list[tuple[str, str]] = []
        raw: dict[str, Values] = {}
        for label in self._expected.labels:
            if label == MASK_LABEL and not (self._part / MASK_LABEL).is_dir():
                continue
            path = label_file(self._part, label, stem)
            try:
                raw[label] = self._checked(label, path)
            except FaultyFileError as error:
                faults.append((str(path), str(error)))
        if faults:
            return LeftOut(stem, tuple(faults))
        return Picture(stem, self._stored(raw))

    def _checked(self, label: str, path: Path) -> Values:
        if label in (RGB, MASK_LABEL):
            values: Values = read_png(path, RGB8 if label == RGB else MASK)
        else:
            values = read_label(path, label)
            expected = self._expected.labels[label].dtype
            if str(values.dtype) != expected:
                raise FaultyFileError(f"type {values.dtype}, expected {expected} as in the first")
        check_side(values, self._expected.height, self._expected.width)
        if label == "s":
            classes = len(self._settings.classes)
            worst = max(int(values.max()), -int(values.min()))
            if worst >= classes or int(values.min()) < 0:
                raise FaultyFileError(f"class id {worst}, expected 0 to {classes - 1}")
        return values

    def _stored(self, raw: Mapping[str, Values]) -> dict[str, Values]:
        size = self._settings.size
        arrays: dict[str, Values] = {
            label: nearest(centre_square(values), size)
            for label, values in raw.items()
            if label not in (RGB, MASK_LABEL)
        }
        arrays[RGB] = area(centre_square(raw[RGB]), size)
        if MASK_LABEL in self._expected.labels:
            arrays[MASK_LABEL] = self._valid(raw, arrays).astype(np.uint8)
        return arrays

    def _valid(self, raw: Mapping[str, Values], arrays: Mapping[str, Values]) -> Values:
        """Return where the mask file allows it and no label has its invalid value."""
        size = self._settings.size
        valid = np.ones((size, size), np.bool_)
        if MASK_LABEL in raw:
            valid &= nearest(centre_square(raw[MASK_LABEL]), size).astype(np.bool_)
        for task, value in self._settings.invalid.items():
            bad = arrays[task] == value
            valid &= ~(bad.any(axis=-1) if bad.ndim == 3 else bad)
        return valid
