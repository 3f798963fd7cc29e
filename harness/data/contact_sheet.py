"""Lay pictures and their labels side by side for the eye to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from harness.data.scenes.building import LABELS

_GAP = 2
_BACKGROUND = 40
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
_FARTHEST_M = 6.0


def visible(label: str, values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Turn one stored image into 8-bit RGB for people, shape (size, size, 3)."""
    if label == "rgb":
        return np.asarray(values, np.uint8)
    if label == "s":
        return _CLASS_COLOURS[np.asarray(values, np.int64)]
    if label == "d":
        grey = np.minimum(np.asarray(values, np.float32) / (_FARTHEST_M * 1000), 1) * 255
        return _grey(grey)
    if label == "n":
        return (np.asarray(values, np.int16) + 128).astype(np.uint8)
    if label == "c":
        shifted = (np.asarray(values, np.int16) + 128).astype(np.uint8)
        return np.concatenate([shifted, np.full_like(shifted[..., :1], 128)], axis=-1)
    return _grey(np.asarray(values, np.float32))


def _grey(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=-1)


def contact_sheet(
    rows: Sequence[Mapping[str, npt.NDArray[np.generic]]], zoom: int = 2
) -> npt.NDArray[np.uint8]:
    """Return one picture with a row per image and a column per label.

    Args:
        rows: One image each: the arrays of `LABELS` without the image axis.
        zoom: Screen pixels per image pixel.
    """
    size = rows[0]["rgb"].shape[0] * zoom
    step = size + _GAP
    shape = (len(rows) * step + _GAP, len(LABELS) * step + _GAP, 3)
    sheet = np.full(shape, _BACKGROUND, np.uint8)
    for row, arrays in enumerate(rows):
        for column, label in enumerate(LABELS):
            tile = visible(label, arrays[label]).repeat(zoom, axis=0).repeat(zoom, axis=1)
            top, left = _GAP + row * step, _GAP + column * step
            sheet[top : top + size, left : left + size] = tile
    return sheet
