"""Say which release of this program runs, from a checkout or as an installed package."""

from __future__ import annotations

import re
from pathlib import Path

from harness.core.schema import SCHEMA_VERSION

PACKAGE = "mas-edge-harness"
ROOT = Path(__file__).resolve().parents[2]
"""Folder that the program's packages lie in: a checkout, or where packages are installed."""


def version(root: Path = ROOT) -> str:
    """Return the release that `pyproject.toml` names, else that of the installed package.

    Returns "unknown" where neither says it, as for files copied by hand.
    """
    told = told_version(root)
    if told is not None:
        return told
    from importlib import metadata  # noqa: PLC0415 - slow, and mostly not needed

    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return "unknown"


def told_version(root: Path) -> str | None:
    """Return the release that the `pyproject.toml` of a checkout of this program names."""
    path = root / "pyproject.toml"
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    ours = re.search(rf'^name = "{PACKAGE}"$', text, re.M)
    found = re.search(r'^version = "(.+)"$', text, re.M)
    return found[1] if ours and found else None


def version_text() -> str:
    """Return the line that `--version` prints."""
    return f"{PACKAGE} {version()}, schema {SCHEMA_VERSION} of result files"


def shipped_file(name: str, root: Path = ROOT) -> Path:
    """Return a file that lies at the top of a checkout, or where a wheel brings it."""
    path = root / name
    return path if path.is_file() and told_version(root) else root / "harness" / "shipped" / name
