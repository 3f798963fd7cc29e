"""Get a data set by name: from the cache, from a folder, or generated first."""

from __future__ import annotations

from pathlib import Path

from harness.core.errors import DataError
from harness.workloads.multitask.data.build import Progress, ensure_store
from harness.workloads.multitask.data.catalogue import default_cache, find_store
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.sources.scenes import plan_scenes
from harness.workloads.multitask.data.split import Split
from harness.workloads.multitask.data.store import LabelArrays, Store, open_store
from harness.workloads.multitask.data.verify import verify

__all__ = [
    "DataError",
    "LabelArrays",
    "ScenesConfig",
    "Split",
    "Store",
    "default_cache",
    "ensure_scenes",
    "open_data_set",
    "open_store",
    "verify",
]


def ensure_scenes(config: ScenesConfig, cache: Path, progress: Progress, workers: int) -> Store:
    """Open the generated data set, making it first if the cache lacks it.

    Raises:
        DataError: If the store is damaged or cannot be written.
    """
    return ensure_store(plan_scenes(config), cache, progress, workers)


def open_data_set(
    wanted: str, scenes: ScenesConfig | None, cache: Path, progress: Progress, workers: int
) -> Store:
    """Open what a run trains on, and check every file once.

    Args:
        wanted: Name, name and folder, or folder of an imported data set; unused with `scenes`.
        scenes: The rooms to train on, made first if the cache lacks them; None for imported data.
        cache: Folder for data sets.
        progress: Told how far making the rooms is.
        workers: Processes that make them.

    Raises:
        DataError: If there is no such data set, or it is damaged or cannot be made.
    """
    if scenes is not None:
        store = ensure_scenes(scenes, cache, progress, workers)
    else:
        store = open_store(find_store(wanted, cache))
    verify(store)
    return store
