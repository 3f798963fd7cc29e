"""Tiny data sets for all tests that only read them, and a PNG writer of the tests' own."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.dataset import ensure_scenes
from harness.workloads.multitask.data.scenes.building import building_views

SOURCE_PX = 32
GREY, RGB, PALETTE, GREY_ALPHA = 0, 2, 3, 4


def encode(values, bits=8, colour=None):
    """A PNG file after ISO/IEC 15948: no filter, big-endian samples, 1-bit rows packed."""
    values = np.asarray(values)
    height, width = values.shape[:2]
    colour = colour if colour is not None else (RGB if values.ndim == 3 else GREY)
    if bits == 16:
        rows = values.astype(">u2").reshape(height, -1).view(np.uint8)
    elif bits == 1:
        rows = np.packbits(values.astype(bool), axis=1)
    else:
        rows = values.astype(np.uint8).reshape(height, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(name, payload):
        body = name + payload
        return struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colour == PALETTE else b""
    data = chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + data + chunk(b"IEND", b"")


@pytest.fixture(scope="session")
def png():
    """Return the writer: (values, bits, colour type) -> bytes of a PNG file."""
    return encode


@pytest.fixture(scope="session")
def tiny_config():
    """Two clients with one training and one held-out room each, one unseen building, 16 px."""
    return ScenesConfig(clients=2, images=8, unseen_buildings=1, unseen_images=4, size=16)


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory, tiny_config) -> Path:
    """A cache with the tiny data set; read only."""
    cache = tmp_path_factory.mktemp("tiny")
    ensure_scenes(tiny_config, cache, lambda *_counts: None, workers=1)
    return cache


@pytest.fixture
def copied_store(tmp_path, tiny_cache, tiny_config) -> Path:
    """A copy of the tiny store that a test may damage."""
    name = tiny_config.folder_name()
    return Path(
        shutil.copytree(
            tiny_cache / name, tmp_path / name, ignore=shutil.ignore_patterns("verified")
        )
    )


def published(view, invalid):
    """Encode one generated view as Taskonomy does: folder -> (raw values, bits).

    Depth in 1/512 m with 65535 where the scan has a hole; normals and curvature around 127;
    16-bit key points and edges that reach beyond 32767.
    """
    arrays = {label: np.asarray(values).astype(np.int64) for label, values in view.arrays.items()}
    depth = np.where(invalid, 65535, arrays["d"] * 512 // 1000)
    curvature = arrays["c"] + 128
    return {
        "rgb": (arrays["rgb"], 8),
        "segment_semantic": (arrays["s"], 8),
        "depth_zbuffer": (depth, 16),
        "normal": (arrays["n"] + 127, 8),
        "keypoints2d": (arrays["k"] * 250, 16),
        "edge_texture": (arrays["t"] * 257, 16),
        "edge_occlusion": (arrays["e"] * 10, 16),
        "reshading": (np.stack([arrays["r"], arrays["r"], 255 - arrays["r"]], -1), 8),
        "principal_curvature": (
            np.concatenate([curvature, np.full((*curvature.shape[:2], 1), 128)], -1), 8,
        ),
    }  # fmt: skip


BUILDINGS = {"allensville": 0, "uvalda": 1, "wiconisco": 1_000_000}


@pytest.fixture(scope="session")
def taskonomy_source(tmp_path_factory):
    """A folder in the published layout, and what every file holds: (folder, building, stem) -> raw.

    Two client buildings and one that is none; eight points each, point 3 seen from two cameras.
    Names count from 5 on, so that they sort otherwise as text than as numbers.
    """
    root = tmp_path_factory.mktemp("taskonomy")
    raw = {}
    rng = np.random.default_rng(5)
    for building, number in BUILDINGS.items():
        views = list(building_views(1, number, range(3), SOURCE_PX, 1.0))[:9]
        names = [(point, 0) for point in range(5, 13)] + [(8, 1)]
        for (point, camera), view in zip(names, views, strict=True):
            stem = f"point_{point}_view_{camera}"
            invalid = rng.random((SOURCE_PX, SOURCE_PX)) < 0.1
            for folder, (values, bits) in published(view, invalid).items():
                path = root / folder / building / f"{stem}_domain_{folder}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(values, bits))
                raw[folder, building, stem] = values
    return root, raw


@pytest.fixture
def taskonomy_copy(tmp_path, taskonomy_source):
    """A copy of the folder that a test may damage."""
    root = tmp_path / "taskonomy"
    shutil.copytree(taskonomy_source[0], root)
    return root
