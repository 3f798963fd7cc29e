"""Plan the import of a folder: which clients and pictures there are, and what they look like."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.errors import DataError
from harness.workloads.multitask.data.build import BuildPlan
from harness.workloads.multitask.data.files import reported
from harness.workloads.multitask.data.label_format import LabelFormat
from harness.workloads.multitask.data.manifest import Description
from harness.workloads.multitask.data.picture_files import (
    RGB8,
    FaultyFileError,
    is_foreign,
    read_png,
    require_pillow,
)
from harness.workloads.multitask.data.shard import LeftOut, Picture
from harness.workloads.multitask.data.sources.folder.reading import (
    MASK_FORMAT,
    MASK_LABEL,
    RGB,
    RGB_FORMAT,
    ExpectedImage,
    FolderReader,
    label_file,
    read_label,
)
from harness.workloads.multitask.data.sources.folder.settings import (
    FILE,
    FolderSettings,
    read_settings,
)
from harness.workloads.multitask.data.sources.grouping import thinned
from harness.workloads.multitask.data.sources.measured import SAMPLE, measured_scales
from harness.workloads.multitask.data.split import SPLITS, Split
from models.multitask.tasks import TASKS

NAME = "folder"
VERSION = "1"

_OWN_SPLITS = tuple(split for split in SPLITS if split != "test_unseen")
_REMEDY = "docs/data.md shows the layout."


def plan_folder(root: Path, kind: str = NAME) -> BuildPlan:
    """Look at the folder and return what to import.

    Args:
        root: The folder.
        kind: Data set that it is; one that comes from outside has a folder for the moment only.

    Raises:
        DataError: If `dataset.toml`, a split or a task folder is missing, or a client is empty.
    """
    settings = read_settings(root / FILE)
    require_pillow()
    parts = _parts(root, settings)
    expected = _expected(settings, parts)
    where = str(root.resolve()) if kind == NAME else f"made by the data set {kind}"
    source = {"root": where, "settings": settings.as_dict()}
    description = Description(
        name=settings.name, version=VERSION, source=json.loads(json.dumps(source)),
        size=settings.size, tasks=settings.tasks, labels=expected.labels, normalisation={},
        classes=settings.classes, depth_unit_m=settings.depth_unit_m,
        protocol="as divided by its owner", masked=MASK_LABEL in expected.labels,
    )  # fmt: skip
    jobs = _scaled([FilesJob(description, settings, expected, part) for part in parts], settings)
    digest = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:12]
    return BuildPlan(
        f"{kind}-{settings.name}-{settings.size}px-{digest}", jobs[0].description, jobs
    )


@dataclass(frozen=True)
class Part:
    """Name the pictures of one client in one split."""

    split: Split
    client: str
    folder: Path
    stems: tuple[str, ...]


def _parts(root: Path, settings: FolderSettings) -> list[Part]:
    """Find all clients and check that none lacks a split, a task folder or pictures."""
    with reported("read", root):
        clients = sorted(p for p in root.iterdir() if p.is_dir() and not is_foreign(p))
    parts = [part for client in clients for part in _client_parts(client, settings)]
    if not any(part.split == "train" for part in parts):
        message = f"{root} holds no client: expected CLIENT/train/rgb/NAME.png."
        raise DataError(message, _REMEDY)
    return sorted(parts, key=lambda part: (SPLITS.index(part.split), part.client))


def _client_parts(client: Path, settings: FolderSettings) -> Iterator[Part]:
    present = [split for split in SPLITS if (client / split).is_dir()]
    if present != ["test_unseen"]:
        for needed in _OWN_SPLITS:
            if needed not in present:
                message = f"{client / needed} is missing: a client needs {', '.join(_OWN_SPLITS)}."
                raise DataError(message, _REMEDY)
    for split in present:
        folder = client / split
        for label in (RGB, *settings.labels):
            if not (folder / label).is_dir():
                message = f"{folder / label} is missing: expected the files of {label}."
                raise DataError(message, f"Add it, or take {label} out of tasks in {FILE}.")
        with reported("read", folder):
            pictures = (path for path in (folder / RGB).glob("*.png") if not is_foreign(path))
            stems = tuple(sorted(path.stem for path in pictures))
        if not stems:
            raise DataError(f"{folder / RGB} holds no picture: expected NAME.png.", _REMEDY)
        yield Part(split, client.name, folder, stems)


def _expected(settings: FolderSettings, parts: Sequence[Part]) -> ExpectedImage:
    """Take size and types from the first picture; all others must agree with it."""
    first = parts[0]
    stem = first.stems[0]
    path = first.folder / RGB / f"{stem}.png"
    try:
        height, width = read_png(path, RGB8).shape[:2]
        labels = {RGB: RGB_FORMAT}
        for task in settings.labels:
            path = label_file(first.folder, task, stem)
            dtype = str(read_label(path, task).dtype)
            channels = TASKS[task].channels if task != "s" else 1
            labels[task] = LabelFormat(dtype, channels if channels > 1 else 0, TASKS[task].name)
    except FaultyFileError as error:
        message = f"{path}: {error}. The first picture says what all others must be like."
        raise DataError(message, "Mend or remove it.") from error
    if min(height, width) < settings.size:
        message = f"{first.folder / RGB}: pictures of {width}×{height} px are below the size"
        raise DataError(f"{message} {settings.size} asked for.", f"Lower size in {FILE}.")
    masked = settings.invalid or any((part.folder / MASK_LABEL).is_dir() for part in parts)
    return ExpectedImage(height, width, labels | ({MASK_LABEL: MASK_FORMAT} if masked else {}))


def _scaled(jobs: Sequence[FilesJob], settings: FolderSettings) -> list[FilesJob]:
    """Return the jobs with the scales of `dataset.toml`, the missing ones measured."""
    fixed = {"rgb": (0.0, 255.0), "a": (0.0, 255.0), "s": (0.0, 1.0), **settings.normalisation}
    unknown = [task for task in settings.labels if task not in fixed]
    stems = [(job, stem) for job in jobs if job.part.split == "train" for stem in job.part.stems]
    sample = thinned(stems, min(1.0, SAMPLE / len(stems))) if unknown else []
    pictures = (job.reader().read(stem) for job, stem in sample)
    scales = fixed | dict(measured_scales(pictures, unknown))
    scaled = replace(jobs[0].description, normalisation=scales)
    return [replace(job, description=scaled) for job in jobs]


@dataclass(frozen=True)
class FilesJob:
    """Read the pictures of one client in one split."""

    description: Description
    settings: FolderSettings
    expected: ExpectedImage
    part: Part

    @property
    def split(self) -> Split:
        """Return the split."""
        return self.part.split

    @property
    def client(self) -> str:
        """Return the name of the client."""
        return self.part.client

    @property
    def images(self) -> int:
        """Return how many pictures there are."""
        return len(self.part.stems)

    def reader(self) -> FolderReader:
        """Return what reads its pictures."""
        return FolderReader(self.settings, self.expected, self.part.folder)

    def pictures(self) -> Iterator[Picture | LeftOut]:
        """Yield every picture, or what is wrong with its files."""
        reader = self.reader()
        for stem in self.part.stems:
            yield reader.read(stem)
