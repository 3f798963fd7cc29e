"""Get a data set by name: from the cache, from a folder, or generated first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from devices.host import usable_cores
from harness.workloads.multitask.data.build import Progress, ensure_store
from harness.workloads.multitask.data.catalogue import SCENES, find_store
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.dealt import DealtStore
from harness.workloads.multitask.data.sources.scenes import plan_scenes
from harness.workloads.multitask.data.store import Store, open_store
from harness.workloads.multitask.data.verify import verify

if TYPE_CHECKING:
    from harness.workloads.base import DataScreen
    from harness.workloads.multitask.config import MultitaskConfig


def ensure_scenes(config: ScenesConfig, cache: Path, progress: Progress, workers: int) -> Store:
    """Open the generated data set, making it first if the cache lacks it.

    Raises:
        DataError: If the store is damaged or cannot be written.
    """
    return ensure_store(plan_scenes(config), cache, progress, workers)


def open_data(config: MultitaskConfig, screen: DataScreen) -> Store:
    """Open the clients of a run, making their data first if they are not in the cache.

    Every file's hash is checked once.

    Raises:
        DataError: if there are no such data, they cannot be made, do not fit the disk, or are
            damaged.
    """
    if config.data == SCENES:
        cores = usable_cores()
        store = ensure_scenes(config.scenes, config.cache_folder, screen.making_data, cores)
    else:
        store = open_store(find_store(config.data, config.cache_folder))
    verify(store)
    return DealtStore(store, config.dealing) if config.dealing else store
