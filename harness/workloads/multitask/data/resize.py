"""Crop and shrink images: pictures by averaging areas, labels by picking pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def centre_square(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the largest square in the middle of an image of shape (H, W[, C])."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square: npt.NDArray[Any] = image[top : top + side, left : left + side]
    return square


def nearest(image: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return the pixel at the centre of each cell of a size × size grid; no value is made up."""
    rows = (2 * np.arange(size) + 1) * image.shape[0] // (2 * size)
    columns = (2 * np.arange(size) + 1) * image.shape[1] // (2 * size)
    picked: npt.NDArray[Any] = image[rows[:, None], columns]
    return picked


def area(image: npt.NDArray[np.generic], size: int) -> npt.NDArray[np.uint8]:
    """Return the mean of each cell of a size × size grid, rounded, of shape (size, size, C).

    Pixels that a cell covers in part count in part. All sums are whole numbers below 2⁵³ and so
    exact, in any order: the result is the same on every machine.
    """
    down, across = _overlaps(image.shape[0], size), _overlaps(image.shape[1], size)
    pixels = image.astype(np.float64)
    sums = np.einsum("ir,jc,rcz->ijz", down, across, pixels, optimize=True).astype(np.int64)
    whole = image.shape[0] * image.shape[1]
    means: npt.NDArray[np.int64] = (2 * sums + whole) // (2 * whole)
    return means.astype(np.uint8)


def _overlaps(length: int, size: int) -> npt.NDArray[np.float64]:
    """Return how much of each of `length` pixels lies in each of `size` cells, × size.

    In units of 1/size of a pixel a pixel is `size` long and a cell `length`, so all is whole.
    """
    cells, pixels = np.arange(size)[:, None] * length, np.arange(length)[None] * size
    shared = np.minimum(cells + length, pixels + size) - np.maximum(cells, pixels)
    covered: npt.NDArray[np.int64] = np.maximum(shared, 0)
    return covered.astype(np.float64)


def triangle(image: npt.NDArray[np.generic], size: int) -> npt.NDArray[np.int64]:
    """Return an image shrunk with a triangle filter, as Pillow's BILINEAR does: values blend.

    Right for pictures, wrong for labels; here only to repeat what the MAS release does to them.
    """
    down, across = _triangles(image.shape[0], size), _triangles(image.shape[1], size)
    pixels = image.astype(np.float64).reshape(*image.shape[:2], -1)
    blended = np.einsum("ir,jc,rcz->ijz", down, across, pixels, optimize=True)
    rounded: npt.NDArray[np.float64] = np.floor(blended + 0.5)
    return rounded.astype(np.int64).reshape(size, size, *image.shape[2:])


def _triangles(length: int, size: int) -> npt.NDArray[np.float64]:
    """Return the weight of each pixel in each cell: a triangle two cells wide, cut at the edges."""
    scale = length / size
    centres = (np.arange(size)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(length)[None] + 0.5 - centres) / max(scale, 1.0)
    weights = np.maximum(1 - distance, 0)
    shares: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return shares
