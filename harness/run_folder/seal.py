"""Seal a finished run: its manifest, written last, holds the checksum of every other file.

What is made of a run later, its report and its deployed models, is no part of the seal; neither is
the lock, nor raw samples, which are removed once the run is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.digests import file_digests

ALGORITHM = "sha256"
MAY_CHANGE = ("inference", "inference.csv", "lock", "report", "samples")
"""Files and folders, right below that of the run, which are made or removed after it is done."""

MANIFEST = "manifest.json"


def sealed_names(folder: Path) -> list[str]:
    """Return the files below a run folder that a seal covers, in order; hidden ones are nobody's.

    Only files are looked for, not what links lead to.
    """
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(
        path.as_posix()
        for path in paths
        if path.parts[0] not in (*MAY_CHANGE, MANIFEST)
        and not any(part.startswith(".") for part in path.parts)
        and path.suffix != ".part"
        and not (folder / path).is_symlink()
    )


def seal(folder: Path) -> dict[str, Any]:
    """Return what a manifest says of the files of a run that is done: checksum by name."""
    return {
        "algorithm": ALGORITHM,
        "may_change": list(MAY_CHANGE),
        "sums": dict(file_digests(folder, sealed_names(folder))),
    }


def seal_copy(
    folder: Path, original: Mapping[str, Any], rewritten: Sequence[str]
) -> dict[str, Any]:
    """Return the seal of a copy of a run, in which some files were rewritten and some left out.

    Args:
        folder: the copy.
        original: the seal of the run itself; empty if it has none.
        rewritten: files that differ from the run's own, as names were taken out of them.
    """
    if not original:
        return {}
    there = seal(folder)["sums"]
    before = original["sums"]
    return {
        **original,
        "sums": {name: there[name] for name in before if name in there},
        "rewritten": {name: before[name] for name in rewritten if name in before},
        "left_out": {name: sum_ for name, sum_ in before.items() if name not in there},
    }
