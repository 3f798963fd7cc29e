"""The command line, the contact sheet and the PNG encoder."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from harness.workloads.multitask.commands.data import main
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.contact_sheet import contact_sheet, visible
from harness.workloads.multitask.data.pixel_letters import letters, longest_that_fits
from harness.workloads.multitask.data.png import encode_png
from harness.workloads.multitask.data.scenes.building import LABELS, building_views
from harness.workloads.multitask.data.sources.scenes import describe

ROOT = Path(__file__).parents[5]
TINY = [
    "--clients",
    "2",
    "--images",
    "8",
    "--unseen-buildings",
    "1",
    "--unseen-images",
    "4",
    "--size",
    "16",
]


def decode(content):
    """Read an unfiltered RGB PNG, checking every chunk."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        name, payload = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        crc = int.from_bytes(content[at + 8 + length : at + 12 + length], "big")
        assert crc == zlib.crc32(name + payload)
        chunks[name] = payload
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height = (int.from_bytes(chunks[b"IHDR"][k : k + 4], "big") for k in (0, 4))
    assert chunks[b"IHDR"][8:] == bytes([8, 2, 0, 0, 0])  # 8 bits, RGB, deflate, no interlace
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, 3)


def test_png_round_trip():
    """An independent reader finds the pixels that were written."""
    picture = np.random.default_rng(1).integers(0, 256, (7, 11, 3)).astype(np.uint8)
    assert (decode(encode_png(picture)) == picture).all()


def test_png_refuses_other_arrays():
    """Only 8-bit RGB can be written."""
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(ValueError, match="uint8"):
            encode_png(wrong)


def test_contact_sheet_has_a_tile_per_label():
    """Rows are images, columns labels with their names above, pixels enlarged, gaps between."""
    rows = [view.arrays for view in building_views(1, 0, range(1), 16, 1.0)]
    what = describe(ScenesConfig(size=16))
    sheet = contact_sheet(rows, what, zoom=3)
    assert sheet.shape == (10 + 4 * (48 + 2) + 2, 9 * (48 + 2) + 2, 3)
    assert (sheet[12:60:3, 2:50:3] == rows[0]["rgb"]).all()
    assert (sheet[:2] == 40).all()
    lit = (sheet[2:10] == 230).all(axis=-1)
    for column, label in enumerate(LABELS):
        own = lit[:, 2 + column * 50 : 50 + column * 50]
        # other names of tasks, and their last words, are wider than 48
        name = {"d": "d depth", "t": "t edges", "e": "e edges"}.get(label, label)
        assert (own[:, : 6 * len(name)] == letters(name)).all(), label
        assert not own[:, 6 * len(name) :].any()
    for label in LABELS:
        assert visible(label, rows[0], what).shape == (16, 16, 3)


def test_letters_have_the_shape_that_people_read():
    """A j, which has a dot and hangs below the line, drawn by hand."""
    drawn = ["   # ", "     ", "  ## ", "   # ", "   # ", "   # ", "#  # ", " ##  "]
    wanted = [[pixel == "#" for pixel in row] + [False] for row in drawn]
    assert letters("j").tolist() == wanted
    assert longest_that_fits(("d depth", "d"), 41) == "d"
    assert longest_that_fits(("d depth", "d"), 5) == ""


def test_make_info_show(tmp_path, capsys):
    """The three commands work one after the other and agree on the checksum."""
    cache = ["--cache", str(tmp_path / "cache"), *TINY]
    assert main(["make", "--workers", "1", *cache]) == 0
    checksum = capsys.readouterr().out.split()[-1]
    assert len(checksum) == 64
    assert main(["info", "--verify", *cache]) == 0
    told = capsys.readouterr().out
    assert checksum in told
    assert told.count("2 buildings × 4 images") == 3
    out = tmp_path / "sheet.png"
    assert main(["show", "--rows", "3", "--out", str(out), *cache]) == 0
    assert decode(out.read_bytes()).shape == (10 + 3 * 34 + 2, 9 * 34 + 2, 3)


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["info"], "does not exist", 9),
        (["show"], "does not exist", 9),
        (["report"], "does not exist", 9),
        (["make", "--images", "9"], "images = 9", 2),
        (["make", "--workers", "0"], "workers = 0", 2),
        (["info", "taskonomy"], "has not been imported", 2),
        (["info", "taskonomi"], "Did you mean 'taskonomy'?", 2),
        (["info", "/nowhere/at/all"], "there is no folder /nowhere/at/all", 2),
        (["import", "folder", "/nowhere"], "dataset.toml is missing", 9),
        (["import", "nyuv2", "/nowhere"], "is no file", 9),
        (["import", "taskonomy", "/nowhere"], "is no folder", 9),
    ],
)
def test_errors_are_two_lines_and_a_status(tmp_path, capsys, arguments, message, status):
    """What is wrong and what to do about it go to stderr; wrong use has status 2."""
    assert main([*arguments, "--cache", str(tmp_path)]) == status
    told = capsys.readouterr()
    assert not told.out
    assert message in told.err
    assert len(told.err.splitlines()) == 2


def test_empty_sheets_are_refused(tiny_cache, capsys):
    """No rows, no picture."""
    assert main(["show", "--rows", "0", "--cache", str(tiny_cache), *TINY]) == 2
    assert "no sheet" in capsys.readouterr().err


def test_package_needs_neither_torch_nor_pandas():
    """Importing everything loads no heavy package and does no work."""
    code = (
        "import sys, harness.workloads.multitask.commands.data; "
        "import harness.workloads.multitask.data.scenes.constants; "
        "bad = {'torch', 'pandas', 'matplotlib', 'PIL', 'scipy'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)
