"""Have the disk keep what was written, and refuse to begin what cannot end for want of space."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.core.errors import DiskFullError


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_space(folder: Path, needed_bytes: float) -> None:
    """Do nothing if the disk of a folder, which may not exist yet, has room enough.

    Raises:
        DiskFullError: saying what is needed and what is there.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed_bytes:
        raise DiskFullError(
            f"{folder}: the results need about {needed_bytes / 1e6:.0f} MB, but only"
            f" {free / 1e6:.0f} MB are free",
            "Free some space or choose another folder with --out DIR.",
        )
