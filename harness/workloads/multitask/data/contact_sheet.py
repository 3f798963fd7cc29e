"""Lay pictures and their labels side by side for the eye to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from harness.workloads.multitask.data.manifest import Description
from harness.workloads.multitask.data.pixel_letters import TALL, letters, longest_that_fits
from models.multitask.tasks import TASKS

_GAP = 2
_BACKGROUND = 40
_LIT = 230
# One colour per class, void first; neighbours in a room differ strongly in hue or brightness.
_CLASS_COLOURS = np.array(
    [
        (0, 0, 0), (174, 199, 232), (152, 223, 138), (220, 220, 220), (214, 39, 40),
        (197, 176, 213), (255, 152, 150), (188, 189, 34), (140, 86, 75), (255, 187, 120),
        (31, 119, 180), (148, 103, 189), (255, 255, 70), (44, 160, 44), (196, 156, 148),
        (247, 182, 210), (23, 190, 207), (227, 119, 194),
    ],
    np.uint8,
)  # fmt: skip
_INVALID_COLOUR = np.array((90, 0, 90), np.uint8)
_GEOMETRIC = "dnerc"
_FARTHEST_M = 6.0
_GREYS_PER_UNIT = 48
"""Grey levels per unit of a target for labels of more than 8 bits; their mean is middle grey."""

Image = Mapping[str, npt.NDArray[np.generic]]
Shown = npt.NDArray[np.uint8]


def visible(label: str, image: Image, what: Description) -> Shown:
    """Turn one stored label of an image into 8-bit RGB for people, shape (size, size, 3).

    Pixels of geometric labels that the mask says are invalid are purple.
    """
    shown = _colours(label, image[label], what)
    if label in _GEOMETRIC and "mask" in image:
        shown = np.where(image["mask"].astype(np.bool_)[..., None], shown, _INVALID_COLOUR)
    return shown


def _colours(label: str, values: npt.NDArray[np.generic], what: Description) -> Shown:
    if label == "rgb":
        return np.asarray(values, np.uint8)
    if label == "s":
        return _CLASS_COLOURS[np.asarray(values, np.int64)]
    levels = np.clip(_levels(label, values, what), 0, 255).astype(np.uint8)
    if levels.ndim == 2:
        return np.repeat(levels[..., None], 3, axis=-1)
    middle = np.full_like(levels[..., :1], 128)  # fills up the two channels of curvature
    return np.concatenate([levels, middle], axis=-1)[..., :3]


def _levels(
    label: str, values: npt.NDArray[np.generic], what: Description
) -> npt.NDArray[np.float32]:
    """Return a label as grey levels, some of which may lie outside 0 to 255."""
    stored = np.asarray(values, np.float32)
    if label == "mask":
        return stored * 255
    if label == "d":
        return stored * np.float32(what.depth_unit_m / _FARTHEST_M * 255)
    if label != "n" and values.dtype == np.uint8:
        return stored
    offset, scale = what.normalisation[label]
    targets = (stored - np.float32(offset)) / np.float32(scale)
    return targets * np.float32(127 if label == "n" else _GREYS_PER_UNIT) + np.float32(128)


def contact_sheet(rows: Sequence[Image], what: Description, zoom: int = 2) -> Shown:
    """Return one picture with a row per image and a column per stored label, named above it.

    Args:
        rows: One image each: arrays by label without the image axis.
        what: The data set they are from.
        zoom: Screen pixels per image pixel.
    """
    size = what.size * zoom
    step = size + _GAP
    head = TALL + _GAP
    shape = (head + len(rows) * step + _GAP, len(what.labels) * step + _GAP, 3)
    sheet = np.full(shape, _BACKGROUND, np.uint8)
    for column, label in enumerate(what.labels):
        lit = letters(longest_that_fits(_names(label), size))
        left = _GAP + column * step
        sheet[_GAP : _GAP + TALL, left : left + lit.shape[1]][lit] = _LIT
    for row, image in enumerate(rows):
        for column, label in enumerate(what.labels):
            tile = visible(label, image, what).repeat(zoom, axis=0).repeat(zoom, axis=1)
            top, left = head + _GAP + row * step, _GAP + column * step
            sheet[top : top + size, left : left + size] = tile
    return sheet


def _names(label: str) -> tuple[str, ...]:
    """Return names of a stored label, the fullest first."""
    task = next((task for task in TASKS.values() if task.label == label and label != "rgb"), None)
    if task is None:
        return (label,)
    return (f"{label} {task.name}", f"{label} {task.name.split()[-1]}", label)
