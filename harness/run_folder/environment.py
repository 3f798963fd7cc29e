"""Collect the facts a reader needs to repeat a run, without names of people or machines."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.config import without_home
from harness.running.target import Target, describe_host

_PACKAGES = ("torch", "numpy", "safetensors", "pandas", "matplotlib")
_CHECKOUT = Path(__file__).resolve().parents[2]


def environment(target: Target) -> dict[str, Any]:
    """Return host, software and source version for the manifest."""
    host = target.host
    return {
        "host": {
            "description": describe_host(host),
            "matches_device": target.matches,
            "arch": host.arch,
            "model": host.model,
            "cpu_model": host.cpu_model,
            "cores": host.cores_usable,
            "memory_bytes": host.memory_bytes,
            "kernel": host.kernel,
            "virtual": host.virtual,
            "governor": host.state.governor,
            "temperature_c": host.state.temperature_c,
        },
        "software": {
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "source": source_version(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def source_version(checkout: Path = _CHECKOUT) -> dict[str, Any]:
    """Return the commit and whether tracked files differ from it; empty outside a checkout."""
    try:
        commit = _git(checkout, "rev-parse", "HEAD")
        dirty = bool(_git(checkout, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "dirty": dirty}


def _git(checkout: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(checkout), *words], capture_output=True, text=True, check=True, timeout=5
    )
    return done.stdout.strip()


def command_line(words: list[str] | None = None) -> str:
    """Return the command as typed, the home folder shortened to ~."""
    text = " ".join(["python -m harness.run", *(sys.argv[1:] if words is None else words)])
    return without_home(text)
