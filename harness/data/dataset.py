"""Get the `scenes` data set: open it from the cache or generate it first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from harness.data.config import SPLITS, ScenesConfig, Split
from harness.data.errors import DataError
from harness.data.files import remove_folder, rename_durably, reported, sync_folder, write_durably
from harness.data.shard import Job, is_finished, read_record
from harness.data.store import (
    MANIFEST,
    FileEntry,
    LabelArrays,
    Manifest,
    Store,
    expected_shapes,
    make_manifest,
    open_store,
)
from harness.data.workers import run_jobs

__all__ = [
    "DataError",
    "LabelArrays",
    "ScenesConfig",
    "Split",
    "Store",
    "default_cache",
    "ensure_scenes",
    "open_store",
    "size_bytes",
]

_SPARE_BYTES = 16 << 20


def default_cache(environment: Mapping[str, str], home: Path) -> Path:
    """Return the folder data sets are kept in (XDG base directory specification)."""
    root = environment.get("XDG_CACHE_HOME")
    return (Path(root) if root else home / ".cache") / "mas-edge-harness"


def size_bytes(config: ScenesConfig) -> int:
    """Return the size of all arrays of a data set in bytes."""
    return sum(
        int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        for dtype, shape in expected_shapes(config).values()
    )


def ensure_scenes(
    config: ScenesConfig, cache: Path, progress: Callable[[int, int], None], workers: int
) -> Store:
    """Open the data set, generating it first if the cache lacks it.

    Finished shards of an interrupted generation are kept, the rest is made. The store appears
    under its final name only when everything, the manifest last, is on the disk.

    Args:
        config: Which data set.
        cache: Folder for data sets; made if need be.
        progress: Called with images finished and images in all.
        workers: Processes that generate; each uses one core.

    Raises:
        DataError: If the store is damaged or cannot be written.
    """
    if workers < 1:
        raise DataError(f"workers = {workers} cannot generate.", "Choose at least 1.")
    final = cache / config.folder_name()
    if final.exists():
        return _open_as(final, config)
    partial = cache / f"{config.folder_name()}.partial"
    with reported("write", partial):
        partial.mkdir(parents=True, exist_ok=True)
    with _locked(partial):
        if not final.exists():  # else another process finished it in the meantime
            _fill(config, partial, progress, workers)
            with reported("write", final):
                rename_durably(partial, final)
    return _open_as(final, config)


def _open_as(path: Path, config: ScenesConfig) -> Store:
    store = open_store(path)
    if store.config != config:
        message = f"{path} holds {store.config}, expected {config}."
        raise DataError(message, "Delete the folder and let the harness make the data set again.")
    return store


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from generating into the same folder; freed if this one dies."""
    with reported("lock", folder):
        handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another process is generating {folder}."
            raise DataError(message, "Wait until it has finished, then start again.") from error
        yield
    finally:
        os.close(handle)


def _fill(
    config: ScenesConfig, folder: Path, progress: Callable[[int, int], None], workers: int
) -> None:
    """Generate what is missing and write the manifest."""
    jobs = [Job(config, split, client) for split in SPLITS for client in range(config.count(split))]
    _remove_litter(folder)
    missing = [job for job in jobs if not is_finished(folder, job)]
    with reported("write", folder):
        for job in missing:
            remove_folder(folder / job.name)
    done = sum(job.images for job in jobs) - sum(job.images for job in missing)
    total = sum(job.images for job in jobs)
    _check_space(config, folder, (total - done) / total)
    progress(done, total)

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    try:
        run_jobs(missing, folder, step, workers)
    finally:
        _remove_litter(folder)
    with reported("write", folder / MANIFEST):
        text = _manifest(config, folder, jobs).to_json()
        write_durably(folder / MANIFEST, text.encode())
        sync_folder(folder)


def _remove_litter(folder: Path) -> None:
    """Delete shards that were never finished."""
    with reported("clean up", folder):
        for path in folder.glob("tmp-*"):
            remove_folder(path)


def _check_space(config: ScenesConfig, folder: Path, share: float) -> None:
    needed = int(size_bytes(config) * share) + _SPARE_BYTES
    with reported("write", folder):
        free = shutil.disk_usage(folder).free
    if free < needed:
        message = f"{folder} needs {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free."
        raise DataError(message, "Free some space or choose another cache folder.")


def _manifest(config: ScenesConfig, folder: Path, jobs: list[Job]) -> Manifest:
    files: dict[str, FileEntry] = {}
    images = {}
    for job in jobs:
        record = read_record(folder, job)
        files |= {f"{job.name}/{label}.npy": entry for label, entry in record.files.items()}
        images[job.name] = record.images
    return make_manifest(config, files, images)
