"""Take the SHA-256 of many files at once, however large, without keeping them in memory."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from devices.host import usable_cores
from harness.core.guarded_folder import SAFE

BLOCK_BYTES = 1 << 20
MOST_THREADS = 8
"""More do not help: a disk is slower than eight processors that hash."""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits.

    Raises:
        OSError: if it cannot be read, is a link, or is no file.
    """
    digest = hashlib.sha256()
    handle = os.open(path, os.O_RDONLY | SAFE)
    with os.fdopen(handle, "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path}: is no file")
        block = memoryview(bytearray(BLOCK_BYTES))
        while count := stream.readinto(block):
            digest.update(block[:count])
    return digest.hexdigest()


def file_digests(folder: Path, names: Sequence[str]) -> Mapping[str, str]:
    """Return name → SHA-256 of files below a folder, taken on all processors at hand.

    Python lets go of its lock while it hashes a block, so threads suffice. A file that cannot be
    read has "" instead.
    """

    def digest(name: str) -> str:
        try:
            return file_digest(folder / name)
        except OSError:
            return ""

    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow to import

    with ThreadPoolExecutor(max(1, min(MOST_THREADS, usable_cores()))) as pool:
        return dict(zip(names, pool.map(digest, names), strict=True))
