"""Check every byte of a store, once: later checks only look whether a file was touched since."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import DataError
from harness.workloads.multitask.data.files import reported, sha256_of
from harness.workloads.multitask.data.label_arrays import check_size, stamp
from harness.workloads.multitask.data.manifest import MANIFEST, REMEDY
from harness.workloads.multitask.data.shard import FileEntry
from harness.workloads.multitask.data.split import SPLITS
from harness.workloads.multitask.data.store import Store

MEMO = "verified"
"""File in a store: the fingerprint (names, sizes, times) of the files that were found right."""


def verify(store: Store, again: bool = False) -> None:
    """Check that every file of a store is what its manifest says.

    All files are read and hashed, which takes a second per few hundred megabytes. That they were
    right is then noted in the store, with the size and time of change of each file; as long as
    none of these changes the files are not read again. A store that cannot be written to is read
    every time.

    Args:
        store: What to check.
        again: Read all files even if they were found right before.

    Raises:
        DataError: If a file is missing or damaged; the message names it and what was expected.
    """
    files = list(_files(store))
    for path, entry in files:
        check_size(path, entry)
        store.stamps[path] = stamp(path, entry)
    fingerprint = _fingerprint(store, [path for path, _ in files])
    if not again and _remembered(store) == fingerprint:
        return
    digest = hashlib.sha256()
    for path, entry in sorted(files, key=lambda file: file[0].relative_to(store.path).as_posix()):
        with reported("read", path):
            found = sha256_of(path)
        if found != entry.sha256:
            message = f"{path} is damaged: expected SHA-256 {entry.sha256}, found {found}."
            raise DataError(message, REMEDY)
        digest.update(found.encode())
    if digest.hexdigest() != store.checksum:
        message = f"{store.path / MANIFEST} is damaged: expected checksum {digest.hexdigest()}."
        raise DataError(message, REMEDY)
    with contextlib.suppress(OSError):  # a store others own is only read
        (store.path / MEMO).write_text(fingerprint, encoding="utf-8")


def _files(store: Store) -> Iterator[tuple[Path, FileEntry]]:
    for split in SPLITS:
        for client in range(store.count(split)):
            folder = store.folder(split, client)
            for label, entry in store.record(split, client).files.items():
                yield folder / f"{label}.npy", entry


def _fingerprint(store: Store, paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in [store.path / MANIFEST, *paths]:
        with reported("read", path):
            seen = path.stat()
        name = path.relative_to(store.path)
        digest.update(f"{name}\0{seen.st_size}\0{seen.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _remembered(store: Store) -> str | None:
    try:
        return (store.path / MEMO).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
