"""Derive the picture and the nine labels from what the rays saw.

Definitions follow the tasks of Taskonomy (Zamir et al., CVPR 2018) as far as exact geometry
allows; `harness.workloads.multitask.data.scenes.building.LABELS` lists shapes and types.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.workloads.multitask.data.scenes.camera import Camera
from harness.workloads.multitask.data.scenes.noise import cell_noise
from harness.workloads.multitask.data.scenes.raycast import Hits
from harness.workloads.multitask.data.scenes.shading import Points
from harness.workloads.multitask.data.scenes.style import Style
from harness.workloads.multitask.data.scenes.vectors import (
    ByteArray,
    Field,
    FloatArray,
    IntArray,
    clamp,
    dot,
)

SUPERSAMPLING = 2
"""Rays per pixel along each side: the picture averages them, most labels take the first."""

_LUMA = (0.30, 0.59, 0.11)
_INTEGER_LUMA = (77, 150, 29)  # the same in 1/256
_HESSIAN_LOBES = (3, 5)  # box filters of 9 and 15 pixels
_HESSIAN_BORDER = 9


def _first(values: FloatArray, side: int) -> FloatArray:
    """Return the first ray of each pixel from a flat array of side² rays."""
    return values.reshape(side, side)[::SUPERSAMPLING, ::SUPERSAMPLING]


def _mean(image: FloatArray) -> FloatArray:
    """Return the mean of each pixel's four rays, summed in one fixed order."""
    top = image[0::2, 0::2] + image[0::2, 1::2]
    bottom = image[1::2, 0::2] + image[1::2, 1::2]
    mean: FloatArray = (top + bottom) * 0.25
    return mean


def _rounded(values: FloatArray) -> FloatArray:
    rounded: FloatArray = np.floor(values + 0.5)
    return rounded


def binomial_blur(image: IntArray, divisor: int) -> IntArray:
    """Blur integers with the 3 × 3 binomial kernel (weights sum to 16) and floor-divide."""
    padded = np.pad(image, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    both = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    blurred: IntArray = both // divisor
    return blurred


def develop(light: list[FloatArray], style: Style, side: int, seed: int) -> ByteArray:
    """Expose, tone-map and add sensor noise: linear light of side² rays to 8-bit RGB.

    The exposure aims at the mean brightness, summed in integers because a float sum would depend
    on its order. The transfer curve is a gamma of 2, a square root.
    """
    brightness = sum(channel * weight for channel, weight in zip(light, _LUMA, strict=True))
    whole = np.minimum(np.minimum(brightness, 2.0) * 4096, float(1 << 18)).astype(np.int64)
    mean = int(whole.sum()) / (4096.0 * side * side)
    exposure = style.exposure * 0.6 / max(mean, 1e-3)
    balance = (1 + 0.12 * style.warmth, 1.0, 1 - 0.12 * style.warmth)
    steps = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    vignette = 1 - (0.5 * style.vignette) * ((steps * steps)[:, None] + (steps * steps)[None])
    size = side // SUPERSAMPLING
    picture = np.empty((size, size, 3), np.uint8)
    for channel in range(3):
        value: FloatArray = (
            light[channel].reshape(side, side) * (exposure * balance[channel]) * vignette
        )
        value = value * (1 + value * 0.12) / (1 + value * 0.85)
        value = _mean(np.sqrt(clamp(value, 0.0, 1.0))) * 255
        noise = _sensor_noise(size, channel, seed) * (1.7 * style.noise)
        picture[..., channel] = clamp(_rounded(value + noise), 0, 255).astype(np.uint8)
    return picture


def _sensor_noise(size: int, channel: int, seed: int) -> FloatArray:
    """Return triangular noise in (-1, 1), one value per pixel."""
    pixel = np.arange(size * size, dtype=np.int32)
    first = cell_noise(pixel, channel, seed + 50)
    second = cell_noise(pixel, channel + 9, seed + 51)
    return (first + second - 1).reshape(size, size)


def depth_label(depth: FloatArray) -> npt.NDArray[np.uint16]:
    """Return z-depth in millimetres; 0 would mean invalid and never occurs."""
    first = depth[::SUPERSAMPLING, ::SUPERSAMPLING]
    return clamp(_rounded(first * 1000), 1, 65535).astype(np.uint16)


def normal_label(normal: Field, camera: Camera, side: int) -> npt.NDArray[np.int8]:
    """Return the normal in camera axes (right, down, forward) times 127."""
    axes = (camera.right, camera.down, camera.forward)
    parts = [_rounded(_first(dot(normal, axis), side) * 127) for axis in axes]
    return np.stack([clamp(part, -127, 127) for part in parts], -1).astype(np.int8)


def curvature_label(points: Points, side: int) -> npt.NDArray[np.int8]:
    """Return both principal curvatures k (1/m) squashed to 127 · k / (|k| + 5), blurred."""
    channels = []
    for curvature in (points.k1, points.k2):
        squashed = (curvature / (np.abs(curvature) + 5)).reshape(side, side)
        fine = _rounded(_mean(squashed) * (8 * 127)).astype(np.int32)
        channels.append(np.clip(binomial_blur(fine, 8 * 16), -127, 127))
    return np.stack(channels, -1).astype(np.int8)


def reshading_label(points: Points, depth: FloatArray) -> ByteArray:
    """Return the shading of untextured plaster under a lamp at the camera, × 255."""
    facing = np.maximum(dot(points.normal, points.view), 0).reshape(depth.shape)
    return _rounded(_mean(facing / (1 + depth * depth * 0.02)) * 255).astype(np.uint8)


def occlusion_edges(depth: FloatArray) -> ByteArray:
    """Return how far depth departs from a plane: jumps and creases, no texture.

    Inverse depth is linear over any plane, so its second difference vanishes there; it is taken
    relative to the local inverse depth, squashed, maximised over each pixel and blurred.
    """
    inverse = 1 / depth
    bend = np.zeros_like(inverse)
    for image, target in ((inverse, bend), (inverse.T, bend.T)):
        left, middle, right = image[:-2], image[1:-1], image[2:]
        second = np.abs((right - middle) - (middle - left))
        relative = second / np.minimum(np.minimum(right, middle), left)
        np.maximum(target[1:-1], relative, out=target[1:-1])
    bend = bend / (bend + 0.06)
    strongest = np.maximum(
        np.maximum(bend[::2, ::2], bend[1::2, ::2]), np.maximum(bend[::2, 1::2], bend[1::2, 1::2])
    )
    whole = _rounded(strongest * 255).astype(np.int32)
    # Two 3 × 3 passes make a 5 × 5 binomial; 160 instead of 256 keeps thin edges bright.
    return np.clip(binomial_blur(binomial_blur(whole, 1), 160), 0, 255).astype(np.uint8)


def grey_256(picture: ByteArray) -> npt.NDArray[np.int64]:
    """Return the brightness of an RGB picture in units of 1/256 grey level."""
    red, green, blue = (picture[..., k].astype(np.int64) * _INTEGER_LUMA[k] for k in range(3))
    return red + green + blue


def texture_edges(picture: ByteArray) -> ByteArray:
    """Return the Sobel magnitude of the blurred picture: Canny without thinning.

    Integers up to one square root; 1 grey level per pixel gives 3.
    """
    blurred = binomial_blur(np.pad(grey_256(picture), 1, mode="edge"), 1)
    down = blurred[2:] - blurred[:-2]
    down = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    right = blurred[:, 2:] - blurred[:, :-2]
    right = right[:-2] + 2 * right[1:-1] + right[2:]
    square = (right * right + down * down).astype(np.float64)
    levels = np.floor(np.sqrt(square) * (3 / (16 * 256 * 4.0)) + 0.5)
    edges: ByteArray = np.minimum(levels, 255).astype(np.uint8)
    return edges


def keypoints(picture: ByteArray) -> ByteArray:
    """Return the square root of the determinant of the box-filter Hessian, as SURF computes it.

    Bay et al., "Speeded-Up Robust Features", CVIU 2008: box filters on an integral image with
    the mixed derivative weighted 0.9 (here 81/100 of its square, so that all stays integer); the
    stronger of two scales counts.
    """
    grey = grey_256(picture) >> 8
    best = np.zeros(grey.shape, np.float64)
    table = _integral(grey)
    for lobe in _HESSIAN_LOBES:
        xx, yy, xy = _hessian(table, grey.shape, lobe)
        determinant = np.maximum(xx * yy * 100 - 81 * xy * xy, 0)
        area = (3 * lobe) ** 2
        np.maximum(best, determinant / (100.0 * area * area), out=best)
    return np.minimum(np.floor(np.sqrt(best) * 16 + 0.5), 255).astype(np.uint8)


def _integral(grey: IntArray) -> IntArray:
    """Return the summed-area table of the mirrored picture, one zero row and column in front."""
    padded = np.pad(grey, _HESSIAN_BORDER, mode="reflect")
    return np.pad(np.cumsum(np.cumsum(padded, axis=0), axis=1), ((1, 0), (1, 0)))


def _hessian(
    table: IntArray, shape: tuple[int, ...], lobe: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the box-filter second derivatives xx, yy and xy at every pixel."""

    def corner(row: int, column: int) -> IntArray:
        top, left = _HESSIAN_BORDER + row, _HESSIAN_BORDER + column
        return table[top : top + shape[0], left : left + shape[1]]

    def box(rows: tuple[int, int], columns: tuple[int, int]) -> IntArray:
        """Sum the pixels of a rectangle given by inclusive offsets from each pixel."""
        (top, bottom), (left, right) = rows, columns
        whole = corner(bottom + 1, right + 1) + corner(top, left)
        return whole - corner(top, right + 1) - corner(bottom + 1, left)

    wide = (-(lobe - 1), lobe - 1)
    whole = (-(3 * lobe // 2), 3 * lobe // 2)
    inner = (-(lobe // 2), lobe // 2)
    before, after = (-lobe, -1), (1, lobe)
    yy = box(whole, wide) - 3 * box(inner, wide)
    xx = box(wide, whole) - 3 * box(wide, inner)
    xy = box(before, after) + box(after, before) - box(before, before) - box(after, after)
    return xx, yy, xy


def all_labels(
    hits: Hits, points: Points, camera: Camera, picture: ByteArray
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the picture and its labels, keyed by the task letter (`rgb` for the picture)."""
    side = hits.depth.shape[0]
    kinds = points.kind.reshape(side, side)[::SUPERSAMPLING, ::SUPERSAMPLING]
    return {
        "rgb": picture,
        "s": kinds,
        "d": depth_label(hits.depth),
        "n": normal_label(points.normal, camera, side),
        "k": keypoints(picture),
        "t": texture_edges(picture),
        "e": occlusion_edges(hits.depth),
        "r": reshading_label(points, hits.depth),
        "c": curvature_label(points, side),
    }
