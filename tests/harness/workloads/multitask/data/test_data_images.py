"""Reading PNG files without losing a bit, and shrinking images."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from harness.workloads.multitask.data.picture_files import (
    CLASSES,
    GREY16,
    MASK,
    RGB8,
    FaultyFileError,
    read_png,
)
from harness.workloads.multitask.data.resize import area, centre_square, nearest, triangle

RNG = np.random.default_rng(3)


@pytest.mark.parametrize(
    ("encoding", "values", "bits", "colour"),
    [
        (GREY16, RNG.integers(0, 65536, (5, 7)), 16, 0),
        (GREY16, np.array([[0, 32767, 32768, 65535]]), 16, 0),
        (CLASSES, RNG.integers(0, 18, (6, 4)), 8, 0),
        (CLASSES, RNG.integers(0, 18, (6, 4)), 8, 3),
        (RGB8, RNG.integers(0, 256, (4, 6, 3)), 8, 2),
        (MASK, RNG.integers(0, 2, (9, 11)), 1, 0),
        (MASK, RNG.integers(0, 256, (9, 11)), 8, 0),
    ],
    ids=["16-bit", "extremes", "grey ids", "palette ids", "colour", "1-bit", "8-bit mask"],
)
def test_values_arrive_as_they_were_written(tmp_path, png, encoding, values, bits, colour):
    """What the tests' own writer encodes comes back bit for bit, unsigned."""
    path = tmp_path / "image.png"
    path.write_bytes(png(values, bits, colour))
    found = read_png(path, encoding)
    assert found.dtype == np.uint16
    assert (found == values).all()


def test_files_written_by_another_program_are_read(tmp_path):
    """Pillow's own files, with filtered lines, give the same values."""
    values = RNG.integers(0, 65536, (32, 32)).astype(np.uint16)
    smooth = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint16) * 900
    for number, pixels in enumerate((values, smooth)):
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path, optimize=True)
        assert (read_png(path, GREY16) == pixels).all()


def wide_rgb(png):
    """A 16-bit RGB file, which Pillow narrows to 8 bits without a word."""
    return png(np.zeros((4, 4, 3)), 16)


@pytest.mark.parametrize(
    ("make", "encoding", "reason"),
    [
        (wide_rgb, RGB8, "16-bit RGB, expected 8-bit RGB"),
        (lambda png: png(np.zeros((4, 4)), 8), RGB8, "8-bit grey, expected 8-bit RGB"),
        (lambda png: png(np.zeros((4, 4)), 8), GREY16, "8-bit grey, expected 16-bit grey"),
        (lambda png: png(np.zeros((4, 4)), 16), MASK, "16-bit grey, expected 1 or 8-bit grey"),
        (lambda png: png(np.zeros((4, 4, 2)), 8, 4), CLASSES, "8-bit grey with alpha, expected"),
        (lambda png: png(np.zeros((4, 4)), 16)[:50], GREY16, "broken or cut off"),
        (lambda png: b"", RGB8, "empty file"),
        (lambda png: b"GIF89a" + bytes(60), RGB8, "no PNG file"),
    ],
)
def test_other_encodings_and_broken_files_are_refused(tmp_path, png, make, encoding, reason):
    """Each fault has its own words, found and expected."""
    path = tmp_path / "image.png"
    path.write_bytes(make(png))
    with pytest.raises(FaultyFileError, match=reason):
        read_png(path, encoding)


def test_a_flipped_bit_in_the_data_is_noticed(tmp_path, png):
    """Every chunk carries a checksum, and it is checked."""
    content = bytearray(png(RNG.integers(0, 65536, (16, 16)), 16))
    content[len(content) // 2] ^= 4
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(FaultyFileError, match="broken"):
        read_png(path, GREY16)


def test_missing_files_are_called_missing(tmp_path):
    with pytest.raises(FaultyFileError, match="missing"):
        read_png(tmp_path / "none.png", RGB8)


def slow_area(image, size):
    """The mean over each cell in fractions, pixel by pixel."""
    height, width, channels = image.shape
    out = np.empty((size, size, channels), np.uint8)
    for i in range(size):
        for j in range(size):
            for c in range(channels):
                total = Fraction(0)
                for y in range(height):
                    for x in range(width):
                        down = min(Fraction((i + 1) * height, size), y + 1) - max(
                            Fraction(i * height, size), y
                        )
                        across = min(Fraction((j + 1) * width, size), x + 1) - max(
                            Fraction(j * width, size), x
                        )
                        if down > 0 and across > 0:
                            total += down * across * int(image[y, x, c])
                mean = total / (Fraction(height, size) * Fraction(width, size))
                out[i, j, c] = (mean + Fraction(1, 2)).__floor__()
    return out


@pytest.mark.parametrize(("side", "size"), [(8, 4), (13, 4), (12, 12), (7, 5)])
def test_area_is_the_exact_mean_of_each_cell(side, size):
    """Whole and broken factors give the mean in fractions, halves rounded up."""
    image = RNG.integers(0, 256, (side, side, 3)).astype(np.uint8)
    assert (area(image, size) == slow_area(image, size)).all()


def test_nearest_makes_up_no_value_and_sits_in_the_middle():
    """Every value of the result is one of the source; a symmetric step stays where it was."""
    image = np.repeat(np.array([3, 65535]), 20)[None].repeat(40, 0)
    small = nearest(image, 8)
    assert set(np.unique(small)) == {3, 65535}
    assert (small == small[:, ::-1][:, ::-1]).all()
    assert (small[:, :4] == 3).all()
    assert (small[:, 4:] == 65535).all()


@pytest.mark.parametrize(("side", "size"), [(16, 8), (30, 8), (8, 8)])
def test_triangle_is_what_pillow_calls_bilinear(side, size):
    """The filter that spoils the release's labels, within Pillow's rounding after each axis."""
    image = RNG.integers(0, 256, (side, side)).astype(np.uint8)
    theirs = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    assert np.abs(triangle(image, size) - theirs.astype(int)).max() <= 1


def test_alternate_rows_of_0_and_16_blend_to_7_8_9():
    """As seen in the release: one class becomes three that are not there."""
    stripes = np.zeros((16, 16), int)
    stripes[1::2] = 16
    assert set(np.unique(triangle(stripes, 8))) == {7, 8, 9}


def test_the_centre_square_is_central():
    image = np.arange(6 * 10).reshape(6, 10)
    assert (centre_square(image) == image[:, 2:8]).all()
    assert (centre_square(image.T) == image.T[2:8]).all()
