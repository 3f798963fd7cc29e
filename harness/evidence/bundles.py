"""Know the bundles that `harness.pack` wrote: they have a manifest.json, and are no runs."""

from __future__ import annotations

from pathlib import Path

from harness.core.shell_words import shell_word
from harness.evidence.signature import SUMS

WHAT = "a bundle of runs, not a run"


def is_bundle(folder: Path) -> bool:
    """Say whether a folder is a bundle, whole or not."""
    return (
        (folder / SUMS).is_file()
        and (folder / "data").is_dir()
        and not (folder / "cells.csv").exists()
    )


def bundle_words(folder: Path) -> str:
    """Return what to type for a bundle, and where its runs lie."""
    name = shell_word(folder)
    return f"To check it: python -m harness.pack --verify {name}; its runs: {name}/data/*"
