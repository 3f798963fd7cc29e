"""Plan the import of a Taskonomy folder: what is there, which buildings are clients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.errors import DataError, DataUsageError
from harness.workloads.multitask.data.build import BuildPlan
from harness.workloads.multitask.data.files import reported
from harness.workloads.multitask.data.manifest import Description
from harness.workloads.multitask.data.picture_files import (
    RGB8,
    FaultyFileError,
    is_foreign,
    read_png,
    require_pillow,
)
from harness.workloads.multitask.data.shard import LeftOut, Picture
from harness.workloads.multitask.data.sources.grouping import thinned
from harness.workloads.multitask.data.sources.taskonomy.layout import (
    CLASS_NAMES,
    CLIENTS,
    DEPTH_UNIT_M,
    LABELS,
    MASKS,
    NEEDS_MASK,
    RGB,
    SIDE_PX,
    TaskonomyView,
    parse_name,
)
from harness.workloads.multitask.data.sources.taskonomy.protocol import FAULTS, PROTOCOLS, divide
from harness.workloads.multitask.data.sources.taskonomy.reading import (
    TaskonomyReader,
    Where,
    files_of,
    stored_type,
)
from harness.workloads.multitask.data.split import SPLITS, Split

NAME = "taskonomy"
VERSION = "1"
TASKS = "sdnkterca"


@dataclass(frozen=True)
class TaskonomySelection:
    """Say what to import.

    Attributes:
        root: Folder of the data set.
        tasks: Task letters; fewer need fewer folders.
        size: Side of the stored pictures in pixels.
        source_px: Side of the published pictures in pixels.
        protocol: One of `PROTOCOLS`.
        faults: Further faults of the release to repeat.
        most_images: Pictures per building at most, spread evenly; 0 for all.
    """

    root: Path
    tasks: str = TASKS
    size: int = 64
    source_px: int = SIDE_PX
    protocol: str = "repaired"
    faults: tuple[str, ...] = ()
    most_images: int = 0

    @property
    def all_faults(self) -> tuple[str, ...]:
        """Return the protocol's own faults and the further ones, in a fixed order."""
        asked = {*PROTOCOLS[self.protocol], *self.faults}
        return tuple(fault for fault in FAULTS if fault in asked)


def plan_taskonomy(wish: TaskonomySelection) -> BuildPlan:
    """Look at the folder and return what to import.

    Raises:
        DataError: If a folder is missing or a building is empty, each named.
    """
    _check(wish)
    require_pillow()
    where = _where(wish)
    description = _describe(wish, where)
    buildings = _buildings(wish.root / where.folders["rgb"])
    _check_first_side(wish, where)
    jobs = [
        ViewsJob(description, where, split, building, tuple(names))
        for building in buildings
        for split, names in _divided(wish, where, building).items()
    ]
    jobs.sort(key=lambda job: (SPLITS.index(job.split), job.client))
    if not any(job.split == "train" for job in jobs):
        known = ", ".join(CLIENTS[:3])
        message = f"{wish.root / where.folders['rgb']} holds none of the 32 client buildings."
        raise DataError(message, f"Expected folders {known} … as published.")
    identity = json.dumps([description.source, description.version, wish.size], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return BuildPlan(f"{NAME}-{wish.protocol}-{wish.size}px-{digest}", description, jobs)


def _check(wish: TaskonomySelection) -> None:
    unknown = [letter for letter in wish.tasks if letter not in TASKS]
    if unknown or not wish.tasks or len(set(wish.tasks)) != len(wish.tasks):
        raise DataUsageError(f"--tasks {wish.tasks!r} makes no sense.", f"Choose from {TASKS}.")
    if not 16 <= wish.size <= wish.source_px or wish.size % 8:
        remedy = f"Choose a multiple of 8 from 16 to {wish.source_px}."
        raise DataUsageError(f"--size {wish.size} px cannot be stored.", remedy)
    if wish.most_images < 0:
        raise DataUsageError("--images-per-building is negative.", "Choose 0 for all.")
    for fault in wish.faults:
        if fault not in FAULTS:
            known = ", ".join(FAULTS)
            raise DataUsageError(f"there is no fault {fault!r}.", f"Choose from {known}.")


def _where(wish: TaskonomySelection) -> Where:
    """Find the folder of every label.

    Raises:
        DataError: naming every folder that is missing.
    """
    if not wish.root.is_dir():
        raise DataError(f"{wish.root} is no folder.", "Name the folder that holds rgb/ …")
    labels = [letter for letter in wish.tasks if letter in LABELS]
    found = {label: _folder(wish.root, files_of(label).folders) for label in ["rgb", *labels]}
    missing = {label for label, folder in found.items() if folder is None}
    if missing:
        lines = "".join(
            f"\n  {wish.root / files_of(label).folders[0]}  (task {label})"
            for label in found
            if label in missing
        )
        left = "".join(letter for letter in wish.tasks if letter not in missing)
        message = f"{len(missing)} task folder(s) missing:{lines}\n "
        raise DataError(message, f"Add them, or import what is there: --tasks {left or '…'}")
    mask = _folder(wish.root, MASKS.folders)
    masked = any(letter in NEEDS_MASK for letter in wish.tasks)
    if masked and mask is None and "d" not in found:
        depth = _folder(wish.root, LABELS["d"].folders)
        if depth is None:
            message = f"{wish.root} has neither mask/ nor depth_zbuffer/, one of which is needed."
            raise DataError(message, "They tell which pixels of the other labels are valid.")
        found["d"] = depth
    folders = {label: folder for label, folder in found.items() if folder is not None}
    if mask is not None and masked:
        folders["mask"] = mask
    return Where(wish.root, folders, wish.source_px, wish.size, wish.all_faults, masked)


def _check_first_side(wish: TaskonomySelection, where: Where) -> None:
    """Look at one picture: if it has another size, so have all, and the option is wrong.

    Raises:
        DataUsageError: naming the picture and the option.
    """
    found = (wish.root / where.folders["rgb"]).glob("*/*.png")
    own = (p for p in found if not is_foreign(p) and not is_foreign(p.parent))
    path = min(own, default=None)
    if path is None:
        return
    try:
        height, width = read_png(path, RGB8).shape[:2]
    except FaultyFileError:
        return  # the import itself will list it
    if (height, width) != (wish.source_px, wish.source_px):
        side = f"{width}×{height} px, expected {wish.source_px}×{wish.source_px}"
        raise DataUsageError(f"{path} has {side}.", f"Say so: --source-size {width}")


def _folder(root: Path, names: Sequence[str]) -> str | None:
    return next((name for name in names if (root / name).is_dir()), None)


def _describe(wish: TaskonomySelection, where: Where) -> Description:
    letters = [letter for letter in wish.tasks if letter in LABELS]
    labels = {"rgb": RGB.stored} | {
        letter: replace(LABELS[letter].stored, dtype=stored_type(letter, where.faults))
        for letter in letters
    }
    scales = {letter: LABELS[letter].scale for letter in letters}
    source: dict[str, Any] = {
        "root": str(wish.root.resolve()),
        "tasks": wish.tasks,
        "source_px": wish.source_px,
        "protocol": wish.protocol,
        "faults": list(where.faults),
        "most_images": wish.most_images,
    }
    named = f"{wish.protocol}: {', '.join(where.faults)}" if where.faults else wish.protocol
    return Description(
        name=NAME,
        version=VERSION,
        source=source,
        size=wish.size,
        tasks=wish.tasks,
        labels=labels | ({"mask": MASKS.stored} if where.masked else {}),
        normalisation={"rgb": RGB.scale, "a": RGB.scale, **scales},
        classes=CLASS_NAMES if "s" in letters else (),
        depth_unit_m=DEPTH_UNIT_M if "d" in letters else 0.0,
        protocol=named,
        masked=where.masked,
    )


def _buildings(folder: Path) -> list[str]:
    with reported("read", folder):
        return sorted(p.name for p in folder.iterdir() if p.is_dir() and not is_foreign(p))


def _divided(wish: TaskonomySelection, where: Where, building: str) -> dict[Split, list[str]]:
    """Return the file names of a building's pictures by split.

    Raises:
        DataError: If the building is empty or too small for its protocol.
    """
    folder = wish.root / where.folders["rgb"] / building
    with reported("read", folder):
        names = sorted(path.name for path in folder.glob("*.png") if not is_foreign(path))
    parsed = [parse_name(name) for name in names]
    views = [view for view in parsed if view is not None]
    if not views:
        message = f"{folder} holds no picture: expected point_P_view_V_domain_rgb.png."
        raise DataError(message, "Add the building's files or delete its folder.")
    strays = [name for name, view in zip(names, parsed, strict=True) if view is None]
    if building not in CLIENTS:
        parts: dict[Split, list[TaskonomyView]] = {"test_unseen": views}
    else:
        try:
            parts = divide(views, where.faults)
        except ValueError as error:
            message = f"{folder} is too small for protocol {wish.protocol}: {error}."
            raise DataError(message, "Add its files or delete its folder.") from error
    share = min(1.0, wish.most_images / len(views)) if wish.most_images else 1.0
    named: dict[Split, list[str]] = {
        split: [view.file("rgb") for view in thinned(part, share)] for split, part in parts.items()
    }
    named["train" if building in CLIENTS else "test_unseen"] += strays
    return named


@dataclass(frozen=True)
class ViewsJob:
    """Read the pictures of one building that belong to one split."""

    description: Description
    where: Where
    split: Split
    client: str
    names: tuple[str, ...]

    @property
    def images(self) -> int:
        """Return how many file names there are."""
        return len(self.names)

    def pictures(self) -> Iterator[Picture | LeftOut]:
        """Yield every picture, or what is wrong with its files."""
        labels = "".join(label for label in self.description.labels if label in LABELS)
        reader = TaskonomyReader(self.where, labels, self.client)
        for name in self.names:
            view = parse_name(name)
            if view is None:
                path = self.where.root / self.where.folders["rgb"] / self.client / name
                reason = "unknown name, expected point_P_view_V_domain_rgb.png"
                yield LeftOut(name, ((str(path), reason),))
            else:
                yield reader.read(view)
