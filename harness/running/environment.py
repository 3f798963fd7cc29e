"""Collect the facts a reader needs to repeat a run, without names of people or machines."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from devices.board_clocks import read_clock_limits, read_fan
from devices.board_state import PowerMode, read_board_state, read_power_mode
from devices.host import SERIAL_FILES, Host, read_text
from devices.programs import Programs
from harness.running.allocator import describe_allocator
from harness.running.core_sharing import describe_waiting
from harness.running.target import describe_host

_PACKAGES = ("torch", "numpy", "safetensors", "pandas", "matplotlib")
_CHECKOUT = Path(__file__).resolve().parents[2]


class AskedHost(Protocol):
    """Be a target of a run, as far as its host matters."""

    @property
    def host(self) -> Host:
        """Return the host at hand."""
        ...

    @property
    def matches(self) -> bool:
        """Say whether it is the device that a run answers for."""
        ...

    @property
    def threads(self) -> int:
        """Return the threads that training uses; 0 where nothing is trained."""
        ...


def environment(
    target: AskedHost, root: Path = Path("/"), packages: Sequence[str] = ()
) -> dict[str, Any]:
    """Return host, software and source version for the manifest.

    Board, power mode and clocks are those of the host whose files lie under `root`; `packages` are
    those that matter beside the usual ones.
    """
    host = target.host
    board = read_board_state(root, Programs(root))
    return {
        "host": {
            "description": describe_host(host),
            "matches_device": target.matches,
            "arch": host.arch,
            "model": host.model,
            "cpu_model": host.cpu_model,
            "cores": host.cores_usable,
            "memory_bytes": host.memory_bytes,
            "allocator": describe_allocator(),
            **({"waiting": describe_waiting(target.threads)} if target.threads else {}),
            "kernel": host.kernel,
            "virtual": host.virtual,
            "governor": host.state.governor,
            "temperature_c": host.state.temperature_c,
            "power_mode": mode_words(board.power_mode),
            "clocks_pinned": board.clocks.pinned if board.clocks else None,
            "clock_limits_hz": read_clock_limits(root),
            "fan_pwm": read_fan(root),
            "system": _system(root),
            "l4t": board.l4t,
            "jetpack": board.jetpack,
            "board_hash": board_hash(root),
        },
        "software": {
            "python": platform.python_version(),
            **{name: _version(name) for name in (*_PACKAGES, *packages)},
        },
        "source": source_version(),
    }


def power_mode(root: Path = Path("/")) -> str | None:
    """Return the power mode of the host in words; None if it has none or does not tell."""
    return mode_words(read_power_mode(root, Programs(root)))


def mode_words(mode: PowerMode | None) -> str | None:
    """Return a power mode in words."""
    if mode is None:
        return None
    number = "" if mode.number is None else f" ({mode.number})"
    return f"{mode.name}{number}".strip()


def system_words(root: Path = Path("/")) -> str:
    """Return what a reader of figures asks first: system, versions, how clocks stand."""
    board = read_board_state(root, Programs(root))
    mode, clocks = mode_words(board.power_mode), board.clocks
    jetpack = f"JetPack {board.jetpack}" if board.jetpack else ""
    versions = f"Python {platform.python_version()}, torch {_version('torch')}"
    parts = [", ".join(filter(None, (_system(root), jetpack, versions)))]
    if mode:
        parts.append(f"power mode {mode}")
    if board.host.governor:
        parts.append(f"governor {board.host.governor}")
    if clocks is not None:
        hint = "" if clocks.pinned else " (python -m harness.doctor says how)"
        parts.append(f"clocks {'pinned' if clocks.pinned else 'not pinned'}{hint}")
    return "; ".join(parts)


def _system(root: Path) -> str:
    """Return the name of the operating system; empty if it gives itself none."""
    found = re.search(
        r'^PRETTY_NAME="?([^"\n]*)"?$', read_text(root / "etc/os-release"), re.MULTILINE
    )
    return found[1] if found else ""


def board_hash(root: Path = Path("/")) -> str | None:
    """Return a word that tells two boards of a kind apart; None if this one has no number.

    It is 32 bits of a hash of the serial number: many serial numbers have the same, so that it
    cannot be turned back.
    """
    for name in SERIAL_FILES:
        serial = read_text(root / name).strip("\0 \n")
        if serial:
            return hashlib.sha256(f"mas-edge-harness {serial}".encode()).hexdigest()[:8]
    return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def source_version(checkout: Path = _CHECKOUT) -> dict[str, Any]:
    """Return the commit, and whether and by what tracked files differ; empty outside a checkout."""
    try:
        asked = [_git(checkout, *words) for words in (("rev-parse", "HEAD"), ("diff", "HEAD"))]
    except OSError:
        return {}
    commit, diff = map(_answer, asked)
    if commit is None or diff is None:
        return {}
    return {
        "commit": commit,
        "dirty": bool(diff),
        "diff_sha256": hashlib.sha256(diff.encode()).hexdigest() if diff else None,
    }


def _git(checkout: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["git", "-C", str(checkout), *words], text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _answer(asked: subprocess.Popen[str]) -> str | None:
    """Return what a program printed; None if it fails or takes too long."""
    with asked:
        try:
            text, _ = asked.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            asked.kill()
            return None
    return text.strip() if asked.returncode == 0 else None
