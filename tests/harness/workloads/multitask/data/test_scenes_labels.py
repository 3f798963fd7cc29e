"""Labels that are image filters, against slow loops written from their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.workloads.multitask.data.scenes.building import LABELS, building_views
from harness.workloads.multitask.data.scenes.classes import CLASS_NAMES
from harness.workloads.multitask.data.scenes.constants import (
    NORMALISATION,
    Histogram,
    derive,
    histograms,
)
from harness.workloads.multitask.data.scenes.labels import (
    binomial_blur,
    keypoints,
    occlusion_edges,
    texture_edges,
)


def picture(seed, size=14):
    """A blocky random picture, so that edges and blobs of several sizes occur."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (size // 2, size // 2, 3)).repeat(2, 0).repeat(2, 1)
    fine = random.integers(0, 30, (size, size, 3))
    return np.clip(coarse + fine, 0, 255).astype(np.uint8)


def grey(image, row, column):
    """Brightness × 256, repeated beyond the border."""
    size = len(image)
    red, green, blue = (
        int(v) for v in image[min(max(row, 0), size - 1), min(max(column, 0), size - 1)]
    )
    return 77 * red + 150 * green + 29 * blue


def slow_texture_edges(image):
    size = len(image)
    kernel = ((1, 2, 1), (2, 4, 2), (1, 2, 1))
    around = (-1, 0, 1)

    def blurred(row, column):
        return sum(
            kernel[y + 1][x + 1] * grey(image, row + y, column + x) for y in around for x in around
        )

    result = np.zeros((size, size), int)
    for row in range(size):
        for column in range(size):
            right = sum(
                (2 - abs(y)) * (blurred(row + y, column + 1) - blurred(row + y, column - 1))
                for y in around
            )
            down = sum(
                (2 - abs(x)) * (blurred(row + 1, column + x) - blurred(row - 1, column + x))
                for x in around
            )
            per_pixel = math.sqrt(right * right + down * down) / (16 * 256 * 4)
            result[row, column] = min(255, math.floor(3 * per_pixel + 0.5))
    return result


def mirrored(index, size):
    """Reflect an index at the border pixel."""
    if index < 0:
        return -index
    return 2 * (size - 1) - index if index >= size else index


def slow_keypoints(image):
    """Sum the weighted boxes of SURF pixel by pixel."""
    size = len(image)
    result = np.zeros((size, size), int)

    def weights(lobe, y, x):
        """Weights of the masks xx, yy, xy at an offset."""
        half, wide = 3 * lobe // 2, lobe - 1
        band = lambda a: (-2 if abs(a) <= lobe // 2 else 1) if abs(a) <= half else 0  # noqa: E731
        xx = band(x) if abs(y) <= wide else 0
        yy = band(y) if abs(x) <= wide else 0
        diagonal = 0 < abs(x) <= lobe and 0 < abs(y) <= lobe
        xy = (-1 if (x > 0) == (y > 0) else 1) if diagonal else 0
        return xx, yy, xy

    for row in range(size):
        for column in range(size):
            best = 0.0
            for lobe in (3, 5):
                half = 3 * lobe // 2
                total = [0, 0, 0]
                for y in range(-half, half + 1):
                    for x in range(-half, half + 1):
                        r, c = mirrored(row + y, size), mirrored(column + x, size)
                        value = grey(image, r, c) // 256
                        for k, weight in enumerate(weights(lobe, y, x)):
                            total[k] += weight * value
                xx, yy, xy = total
                determinant = (xx * yy - 0.81 * xy * xy) / (9 * lobe * lobe) ** 2
                best = max(best, determinant)
            result[row, column] = min(255, math.floor(16 * math.sqrt(best) + 0.5))
    return result


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_texture_edges_agree_with_slow_loops(seed):
    """The label is the Sobel magnitude of the binomially blurred picture."""
    image = picture(seed)
    found = texture_edges(image)
    assert found.dtype == np.uint8
    assert (found == slow_texture_edges(image)).all()
    assert found.max() > 60


def test_keypoints_agree_with_slow_loops():
    """The label is the stronger determinant of two box-filter Hessians."""
    image = picture(4)
    found = keypoints(image)
    # A determinant that is a square to the last bit may round either way.
    assert np.abs(found.astype(int) - slow_keypoints(image)).max() <= 1
    assert (found == slow_keypoints(image)).mean() > 0.99
    assert found.max() > 60


def test_even_pictures_have_neither_edges_nor_keypoints():
    """A uniform picture gives zero."""
    image = np.full((20, 20, 3), 90, np.uint8)
    assert not texture_edges(image).any()
    assert not keypoints(image).any()


def test_a_blob_is_a_keypoint_and_an_edge_is_not():
    """The Hessian answers to a spot, hardly to a straight step."""
    spot = np.full((40, 40, 3), 40, np.uint8)
    spot[18:21, 18:21] = 220
    assert keypoints(spot)[19, 19] > 100
    step = np.full((40, 40, 3), 40, np.uint8)
    step[:, 20:] = 220
    assert keypoints(step)[10:30, 15:25].max() == 0


def test_binomial_blur_agrees_with_the_kernel():
    """The filter is the outer product of 1 2 1 with repeated borders."""
    random = np.random.default_rng(5)
    image = random.integers(0, 1000, (7, 9))
    padded = np.pad(image, 1, mode="edge")
    expected = np.zeros_like(image)
    for y, weight_y in enumerate((1, 2, 1)):
        for x, weight_x in enumerate((1, 2, 1)):
            expected += weight_y * weight_x * padded[y : y + 7, x : x + 9]
    assert (binomial_blur(image, 16) == expected // 16).all()


def slow_occlusion_edges(depth):
    side = len(depth)
    bend = np.zeros((side, side))
    inverse = 1 / depth.astype(float)
    for row in range(side):
        for column in range(side):
            for y, x in ((0, 1), (1, 0)):
                if not (0 < row * y + column * x < side - 1):
                    continue
                left, middle, right = (inverse[row + k * y, column + k * x] for k in (-1, 0, 1))
                relative = abs(right - 2 * middle + left) / min(left, middle, right)
                bend[row, column] = max(bend[row, column], relative)
    whole = np.zeros((side // 2, side // 2), int)
    for row in range(side // 2):
        for column in range(side // 2):
            strongest = bend[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].max()
            whole[row, column] = math.floor(255 * strongest / (strongest + 0.06) + 0.5)
    for divisor in (1, 160):
        padded = np.pad(whole, 1, mode="edge")
        rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
        whole = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) // divisor
    return np.minimum(whole, 255)


def test_occlusion_edges_agree_with_slow_loops():
    """The label is the blurred relative bend of inverse depth."""
    random = np.random.default_rng(6)
    depth = random.uniform(1.0, 4.0, (6, 6)).repeat(4, 0).repeat(4, 1).astype(np.float32)
    assert np.abs(occlusion_edges(depth).astype(int) - slow_occlusion_edges(depth)).max() <= 1


def test_planes_have_no_occlusion_edges_but_jumps_do():
    """Any plane gives zero; a jump in depth is bright on both sides and dark farther away."""
    u, v = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40))
    plane = (1 / (0.5 + 0.2 * u - 0.1 * v)).astype(np.float32)
    assert not occlusion_edges(plane).any()
    jump = np.full((40, 40), 2.0, np.float32)
    jump[:, 20:] = 3.0
    edges = occlusion_edges(jump)
    assert edges[5:15, 9:11].min() > 200
    assert not edges[:, :6].any()


def test_every_label_of_a_scene_has_its_type_shape_and_range():
    """Generated arrays are as `LABELS` says; classes are named, depth is valid, normals unit."""
    for view in building_views(2, 7, range(2), 32, 1.0):
        assert list(view.arrays) == list(LABELS)
        for label, stored in LABELS.items():
            array = view.arrays[label]
            assert array.dtype == np.dtype(stored.dtype)
            assert array.shape == stored.shape(1, 32)[1:]
        assert view.arrays["s"].min() >= 1
        assert view.arrays["s"].max() < len(CLASS_NAMES) == 18
        assert view.arrays["d"].min() > 0
        length = np.linalg.norm(view.arrays["n"].astype(float), axis=-1)
        assert np.abs(length - 127).max() < 1.5
        c = view.arrays["c"].astype(int)
        assert (c[..., 0] >= c[..., 1]).all()


def test_pictures_hold_variety():
    """Views are neither black nor white nor empty: exposure and cameras do their work."""
    views = [view for b in range(6) for view in building_views(1, b, range(1), 32, 1.0)]
    means = [view.arrays["rgb"].mean() for view in views]
    assert min(means) > 60
    assert max(means) < 230
    kinds = {kind for view in views for kind in np.unique(view.arrays["s"]).tolist()}
    assert len(kinds) >= 10
    assert np.mean([len(np.unique(view.arrays["s"])) for view in views]) > 3.5


def test_histograms_give_exact_moments():
    """Mean, standard deviation and the loss of the median agree with NumPy on the values."""
    random = np.random.default_rng(8)
    values = random.integers(-128, 128, 5001).astype(np.int8)
    histogram = Histogram()
    histogram.add(values[:2000])
    histogram.add(values[2000:])
    wide = values.astype(float)
    mean, deviation = histogram.moments()
    assert mean == pytest.approx(wide.mean())
    assert deviation == pytest.approx(wide.std())
    assert histogram.median_l1() == pytest.approx(np.abs(wide - np.median(wide)).mean())


def test_frozen_constants_describe_the_data():
    """On other buildings than they were derived from the best constant loses about one half."""
    counted = histograms(range(40, 46), 8, 32)
    fresh = derive(counted)
    assert fresh.keys() == NORMALISATION.keys() == {*LABELS, "a"}
    assert NORMALISATION["a"] == NORMALISATION["rgb"]
    assert NORMALISATION["s"] == (0.0, 1.0)
    for label in "dnkterc":
        assert 0.25 < counted[label].median_l1() / NORMALISATION[label][1] < 1.1, label
    for label in ("rgb", "r", "t"):
        assert NORMALISATION[label][1] == pytest.approx(fresh[label][1], rel=0.35)
