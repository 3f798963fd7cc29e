"""Write files so that a crash or a full disk never leaves one that looks whole."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.core.disk import sync_folder
from harness.core.errors import DataError

_REMEDIES = {
    errno.ENOSPC: "Free some space or choose another cache folder.",
    errno.EDQUOT: "Your disk quota is used up: free some space or choose another cache folder.",
    errno.EROFS: "The file system is read-only: choose another cache folder.",
    errno.EACCES: "Permission is missing: choose a cache folder you may write to.",
    errno.EPERM: "Permission is missing: choose a cache folder you may write to.",
}
_BLOCK_BYTES = 1 << 20


@contextmanager
def reported(action: str, path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into a DataError that names the cause and a remedy.

    Raises:
        DataError: In place of the OSError.
    """
    try:
        yield
    except OSError as error:
        cause = error.strerror or type(error).__name__
        remedy = _REMEDIES.get(error.errno or 0, "Check the disk and try again.")
        message = f"cannot {action} {error.filename or path}: {cause}."
        raise DataError(message, remedy) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def rename_durably(source: Path, target: Path) -> None:
    """Move a file or folder to its final name in one step and wait until that is on the disk."""
    source.rename(target)
    sync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Delete a folder with everything in it; one that is not there is fine."""
    if folder.exists():
        shutil.rmtree(folder)
