"""Gather what is known of a host besides its files: interpreter, packages, disk, clock.

Packages are known by their metadata, so that nothing heavy is imported.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from devices.host import Host, detect
from harness.core.errors import UsageError

PACKAGES = ("torch", "numpy", "safetensors", "rich")
FACTS_FILE = "host.json"
EARLIEST_S = 1_735_689_600.0
"""1 January 2025: a wall clock before it was never set, as on a board without battery."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class HostFacts:
    """Hold facts about the running system; None where a recorded tree does not tell.

    Attributes:
        arch: Machine architecture.
        cores_usable: Cores this process may use.
        python: Version of the interpreter.
        packages: Version of each needed package; None for one that is not installed.
        disk_free_bytes: Space where results go.
        wall_clock_set: False if the date is impossible.
        clock_step_s: How far the wall clock moved against the monotonic one during the check.
        torch_fault: Why PyTorch does not work; empty if it computed, None if it was not tried.
    """

    arch: str
    cores_usable: int
    python: str | None = None
    packages: dict[str, str | None] | None = None
    disk_free_bytes: int | None = None
    wall_clock_set: bool | None = None
    clock_step_s: float | None = None
    torch_fault: str | None = None


class ClockWatch:
    """Notice a step of the wall clock, as time synchronisation makes it."""

    def __init__(self, wall: Clock = time.time, monotonic: Clock = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._start_s = wall() - monotonic()

    def step_s(self) -> float:
        """Return how far the wall clock has moved by itself since the start, to the millisecond."""
        return round(self._wall() - self._monotonic() - self._start_s, 3)

    def is_set(self) -> bool:
        """Return False if the wall clock shows a time before this program existed."""
        return self._wall() > EARLIEST_S


def facts_here(
    host: Host, out: Path, watch: ClockWatch, torch_fault: str | None = None
) -> HostFacts:
    """Gather the facts of the running system; results would go to `out`."""
    return HostFacts(
        arch=host.arch,
        cores_usable=host.cores_usable,
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        disk_free_bytes=_free_bytes(out),
        wall_clock_set=watch.is_set(),
        clock_step_s=watch.step_s(),
        torch_fault=torch_fault,
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _free_bytes(out: Path) -> int:
    folder = out.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def detect_tree(root: Path) -> tuple[Host, HostFacts]:
    """Describe the host that a tree was taken from.

    Raises:
        UsageError: The tree is not there or its facts cannot be read.
    """
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}")
    facts = _read_facts(root / FACTS_FILE)
    if facts is None:
        host = detect(root)
        return host, HostFacts(host.arch, host.cores_usable)
    return detect(root, facts.arch, facts.cores_usable), facts


def _read_facts(path: Path) -> HostFacts | None:
    if not path.exists():
        return None
    try:
        return HostFacts(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def write_facts(facts: HostFacts, folder: Path) -> None:
    """Write the facts beside a tree."""
    said: dict[str, Any] = asdict(facts)
    (folder / FACTS_FILE).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
