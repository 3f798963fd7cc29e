"""Make a store: shard by shard, resumable, visible only when whole."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.core.disk import sync_folder
from harness.core.errors import DataError, DataUsageError
from harness.core.locks import held
from harness.workloads.multitask.data.files import (
    remove_folder,
    rename_durably,
    reported,
    write_durably,
)
from harness.workloads.multitask.data.manifest import (
    MANIFEST,
    Description,
    ShardEntry,
    StoreManifest,
)
from harness.workloads.multitask.data.shard import (
    RECORD,
    ShardJob,
    ShardRecord,
    is_finished,
    parse_record,
)
from harness.workloads.multitask.data.split import SPLITS, Split, shard_name
from harness.workloads.multitask.data.store import Store, open_store
from harness.workloads.multitask.data.workers import run_jobs

LEFT_OUT = "left_out.csv"

_SPARE_BYTES = 16 << 20
_OWN_SPLITS = tuple(split for split in SPLITS if split != "test_unseen")

Progress = Callable[[int, int], None]
"""Called with images finished and images in all."""


@dataclass(frozen=True)
class BuildPlan:
    """Say which store to make: its folder, what it is, and its shards split by split."""

    folder_name: str
    description: Description
    jobs: Sequence[ShardJob]

    @property
    def images(self) -> int:
        """Return the number of images if none has to be left out."""
        return sum(job.images for job in self.jobs)


def ensure_store(plan: BuildPlan, cache: Path, progress: Progress, workers: int) -> Store:
    """Open the store, making it first if the cache lacks it.

    Finished shards of an interrupted run are kept, the rest is made. The store appears under its
    final name only when everything, the manifest last, is on the disk.

    Args:
        plan: Which store.
        cache: Folder for data sets; made if need be.
        progress: Told how far it is.
        workers: Processes that make shards; each uses one core.

    Raises:
        DataError: If the store is damaged or cannot be written, or no image can be used.
    """
    if workers < 1:
        raise DataUsageError(f"workers = {workers} cannot work.", "Choose at least 1.")
    final = cache / plan.folder_name
    if final.exists():
        return _open_as(final, plan)
    partial = cache / f"{plan.folder_name}.partial"
    with reported("write", partial):
        partial.mkdir(parents=True, exist_ok=True)
    with _locked(partial):
        if not final.exists():  # else another process finished it in the meantime
            _fill(plan, partial, progress, workers)
            with reported("write", final):
                rename_durably(partial, final)
    return _open_as(final, plan)


def _open_as(path: Path, plan: BuildPlan) -> Store:
    store = open_store(path)
    found, wanted = store.description, plan.description
    if (found.name, found.version, found.source) != (wanted.name, wanted.version, wanted.source):
        message = (
            f"{path} holds {found.name} {found.version} of {dict(found.source)},"
            f" expected {wanted.name} {wanted.version} of {dict(wanted.source)}."
        )
        raise DataError(message, "Delete the folder and make or import the data set again.")
    return store


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other process works in the folder, and keep others out; freed at death."""
    words = f"Another process is making {folder}; waiting for it."
    with ExitStack() as stack:
        with reported("lock", folder):
            path = folder.with_name(folder.name + ".lock")
            stack.enter_context(held(path, lambda: print(words, file=sys.stderr)))
        yield


def _fill(plan: BuildPlan, folder: Path, progress: Progress, workers: int) -> None:
    """Make what is missing and write the manifest."""
    _remove_litter(folder)
    missing = [job for job in plan.jobs if not is_finished(folder, job)]
    with reported("write", folder):
        for job in missing:
            remove_folder(folder / shard_name(job.split, job.client))
    total = plan.images
    done = total - sum(job.images for job in missing)
    _check_space((total - done) * plan.description.image_bytes, folder)
    progress(done, total)

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    try:
        run_jobs(missing, folder, step, workers)
    finally:
        _remove_litter(folder)
    _finish(plan, folder)


def _remove_litter(folder: Path) -> None:
    """Delete shards that were never finished."""
    with reported("clean up", folder):
        for path in folder.glob("tmp-*"):
            remove_folder(path)


def _check_space(size_bytes: int, folder: Path) -> None:
    needed = size_bytes + _SPARE_BYTES
    with reported("write", folder):
        free = shutil.disk_usage(folder).free
    if free < needed:
        message = f"{folder} needs {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free."
        raise DataError(message, "Free some space or choose another cache folder.")


@dataclass(frozen=True)
class _Made:
    """Hold what came of one job."""

    job: ShardJob
    record: ShardRecord
    digest: str


def _finish(plan: BuildPlan, folder: Path) -> None:
    """Write the list of what was left out, then the manifest."""
    made = [_read_made(folder, job) for job in plan.jobs]
    empty = {(m.job.split == "test_unseen", m.job.client) for m in made if not m.record.images}
    kept = [m for m in made if (m.job.split == "test_unseen", m.job.client) not in empty]
    if not any(m.job.split == "train" for m in kept):
        with reported("clean up", folder):
            remove_folder(folder)  # mended files are to be read anew
        raise DataError(*_nothing_usable(made))
    left_out = [m for m in made if m.record.left_out]
    with reported("write", folder):
        for dropped in (m.job for m in made if m not in kept):
            remove_folder(folder / shard_name(dropped.split, dropped.client))
        if left_out:
            write_durably(folder / LEFT_OUT, _left_out_table(left_out).encode())
        manifest = StoreManifest(
            plan.description,
            {split: _entries(kept, split) for split in SPLITS},
            _checksum(kept),
            sum(len(m.record.left_out) for m in left_out),
        )
        write_durably(folder / MANIFEST, manifest.to_json().encode())
        sync_folder(folder)


def _read_made(folder: Path, job: ShardJob) -> _Made:
    path = folder / shard_name(job.split, job.client) / RECORD
    with reported("read", path):
        content = path.read_bytes()
    return _Made(job, parse_record(path, content), hashlib.sha256(content).hexdigest())


def _entries(made: Sequence[_Made], split: Split) -> tuple[ShardEntry, ...]:
    return tuple(
        ShardEntry(m.job.client, len(m.record.images), m.digest)
        for m in made
        if m.job.split == split
    )


def _checksum(made: Sequence[_Made]) -> str:
    """Return the SHA-256 over the hashes of all files, sorted by path."""
    hashes = {
        f"{shard_name(m.job.split, m.job.client)}/{label}.npy": entry.sha256
        for m in made
        for label, entry in m.record.files.items()
    }
    return hashlib.sha256("".join(hashes[path] for path in sorted(hashes)).encode()).hexdigest()


def _left_out_table(made: Sequence[_Made]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["split", "client", "image", "file", "reason"])
    for m in made:
        for left in m.record.left_out:
            for file, reason in left.faults:
                writer.writerow([m.job.split, m.job.client, left.name, file, reason])
    return text.getvalue()


def _nothing_usable(made: Sequence[_Made]) -> tuple[str, str]:
    """Return message and remedy for a source of which no client can be used."""
    faults = [fault for m in made for left in m.record.left_out for fault in left.faults]
    table = "\n".join(f"  {line}" for line in fault_table(faults))
    message = f"no client is left with images in {', '.join(_OWN_SPLITS)}:\n{table}\n "
    return message, "Mend the files and import again."


def fault_table(faults: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines that count (file, reason) pairs by reason, the first file of each below."""
    by_reason: dict[str, list[str]] = {}
    for file, reason in faults:
        by_reason.setdefault(reason, []).append(file)
    lines = [f"{'files':>7}  reason"]
    for reason, files in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        lines += [f"{len(files):7}  {reason}", f"{'':7}  first: {files[0]}"]
    return lines


def read_faults(store: Store) -> list[tuple[str, str]]:
    """Return file and reason of everything an import left out.

    Raises:
        DataError: If the list is gone.
    """
    if not store.manifest.left_out:
        return []
    path = store.path / LEFT_OUT
    with reported("read", path), path.open(encoding="utf-8", newline="") as file:
        return [(row["file"], row["reason"]) for row in csv.DictReader(file)]
