"""A tiny data set, generated once for all tests that only read it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.data.config import ScenesConfig
from harness.data.dataset import ensure_scenes


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
    return Path(shutil.copytree(tiny_cache / name, tmp_path / name))
