"""Import NYU Depth v2 from its published labelled file, nyu_depth_v2_labeled.mat.

The file (Silberman et al., ECCV 2012) is MATLAB 7.3, that is HDF5, with all axes reversed: images
(N, 3, W, H), depths and rawDepths in metres and labels (N, W, H), names of the label ids, and for
each image the type of its room and the scene it was recorded in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.core.errors import DataError, DataUsageError
from harness.workloads.multitask.data.build import BuildPlan
from harness.workloads.multitask.data.label_format import LabelFormat
from harness.workloads.multitask.data.manifest import Description
from harness.workloads.multitask.data.resize import area, centre_square, nearest
from harness.workloads.multitask.data.scenes.building import LABELS as SCENES_LABELS
from harness.workloads.multitask.data.scenes.constants import NORMALISATION
from harness.workloads.multitask.data.scenes.labels import keypoints, occlusion_edges, texture_edges
from harness.workloads.multitask.data.shard import LeftOut, Picture
from harness.workloads.multitask.data.sources.grouping import LEAST_GROUPS, split_by_group, thinned
from harness.workloads.multitask.data.sources.measured import SAMPLE, measured_scales
from harness.workloads.multitask.data.split import SPLITS, Split

if TYPE_CHECKING:
    import h5py

NAME = "nyuv2"
VERSION = "1"
TASKS = "sdnktea"
FILE = "nyu_depth_v2_labeled.mat"

HEIGHT_PX, WIDTH_PX = 480, 640
FRAME = (slice(45, 471), slice(41, 601))
"""Rows and columns that hold picture; outside the published images have a white frame."""
LARGEST_SIZE = 208
"""Occlusion edges need depth at twice the stored size, and the frame is 426 pixels high."""

FOCAL_PX = (518.857901, 519.469611)
CENTRE_PX = (325.582449, 253.736166)
"""Focal lengths and principal point of the colour camera, from the published toolbox."""

CLASSES = 17
"""Names kept as classes: as many as the networks have channels for, beside the ignored id 0."""
FARTHEST_M = 10.0
_NORMAL_REACH_PX = 4

Depth = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NyuSelection:
    """Say what to import: the file and the side of the stored pictures in pixels."""

    file: Path
    size: int = 64


def require_h5py() -> None:
    """Check that HDF5 files can be read here.

    Raises:
        DataError: with the command that makes it so.
    """
    try:
        import h5py  # noqa: F401, PLC0415 - only this import needs it
    except ImportError as error:
        message = "reading NYUv2's file needs h5py, which is not installed."
        raise DataError(message, "Run: pip install 'mas-edge-harness[import]'") from error


def plan_nyuv2(wish: NyuSelection) -> BuildPlan:
    """Look into the file and return what to import.

    Clients are types of room (kitchen, bedroom, …), divided by recorded scene: the last eighth
    of a type's scenes tests, the one before it validates. A type with fewer than three scenes
    is one that no client owns.

    Raises:
        DataError: If the file is missing, no HDF5, or lacks what the published one has.
    """
    if not 16 <= wish.size <= LARGEST_SIZE or wish.size % 8:
        remedy = f"Choose a multiple of 8 from 16 to {LARGEST_SIZE}."
        raise DataUsageError(f"--size {wish.size} px cannot be stored.", remedy)
    require_h5py()
    with opened(wish.file) as file:
        parts = _divided(file)
        classes = frequent_ids(file)
        names = _names(file, classes)
    source = {"file": str(wish.file.resolve()), "bytes": wish.file.stat().st_size}
    labels = _labels(wish.file)
    description = Description(
        name=NAME, version=VERSION, source=source, size=wish.size, tasks=TASKS,
        labels=labels, normalisation=NORMALISATION, classes=("other", *names),
        depth_unit_m=0.001, protocol="by recorded scene within each type of room",
        masked="mask" in labels,
    )  # fmt: skip
    jobs = [
        ScenesJob(description, wish.file, split, client, tuple(rows), classes)
        for split in SPLITS
        for client, rows in sorted(parts[split].items())
    ]
    jobs = _scaled(description, jobs)
    identity = json.dumps([source, VERSION, wish.size], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return BuildPlan(f"{NAME}-{wish.size}px-{digest}", jobs[0].description, jobs)


def opened(path: Path) -> h5py.File:
    """Open the file and check that it holds what the published one holds.

    Raises:
        DataError: If not.
    """
    import h5py  # noqa: PLC0415

    if not path.is_file():
        raise DataError(f"{path} is no file.", f"Name the published {FILE}.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        message = f"{path} is broken or no HDF5 file."
        raise DataError(message, f"Fetch {FILE} again.") from error
    images = len(file["images"]) if "images" in file else 0
    plane = (images, WIDTH_PX, HEIGHT_PX)
    expected = {
        "images": (images, 3, *plane[1:]), "depths": plane, "labels": plane,
        "scenes": (1, images), "sceneTypes": (1, images),
    }  # fmt: skip
    for name, shape in expected.items():
        found = file[name].shape if name in file else None
        if found != shape or not images:
            file.close()
            message = f"{path} has {name} of shape {found}, expected {shape}."
            raise DataError(message, f"Fetch {FILE} again.")
    return file


def _labels(path: Path) -> dict[str, LabelFormat]:
    """Return how labels are stored; with a mask where the file tells measured depth from filled."""
    with opened(path) as file:
        masked = "rawDepths" in file
    labels = {letter: SCENES_LABELS[letter] for letter in TASKS if letter != "a"}
    mask = {"mask": LabelFormat("uint8", 0, "1 where depth was measured")} if masked else {}
    return {"rgb": SCENES_LABELS["rgb"], **labels, **mask}


def _text(file: h5py.File, reference: Any) -> str:  # noqa: ANN401 - h5py's own type
    return "".join(map(chr, np.asarray(file[reference]).ravel().tolist()))


def _divided(file: h5py.File) -> dict[Split, dict[str, list[int]]]:
    """Return rows by split and client."""
    types: dict[str, dict[str, list[int]]] = {}
    for row in range(len(file["images"])):
        room = _text(file, file["sceneTypes"][0, row])
        scene = _text(file, file["scenes"][0, row])
        types.setdefault(room, {}).setdefault(scene, []).append(row)
    parts: dict[Split, dict[str, list[int]]] = {split: {} for split in SPLITS}
    for room, scenes in types.items():
        groups = [scenes[name] for name in sorted(scenes)]
        if len(groups) < LEAST_GROUPS:
            parts["test_unseen"][room] = [row for group in groups for row in group]
        else:
            for split, rows in split_by_group(groups).items():
                parts[split][room] = rows
    if not parts["train"]:
        message = f"{file.filename} has no type of room with {LEAST_GROUPS} scenes."
        raise DataError(message, f"Fetch {FILE} again.")
    return parts


def frequent_ids(file: h5py.File) -> tuple[int, ...]:
    """Return the label ids that cover most pixels, the most frequent first; 0 has no name."""
    counts = np.zeros(1 << 16, np.int64)
    for row in range(len(file["labels"])):
        counts += np.bincount(file["labels"][row].ravel(), minlength=counts.size)
    counts[0] = 0
    order = np.argsort(-counts, kind="stable")[:CLASSES]
    return tuple(int(number) for number in order if counts[number])


def _names(file: h5py.File, ids: Sequence[int]) -> list[str]:
    """Return the names of label ids; `names` is 1 × M in some releases and M × 1 in others."""
    if "names" not in file:
        return [f"label {number}" for number in ids]
    references = np.asarray(file["names"]).ravel()
    return [_text(file, references[number - 1]) for number in ids]


def _scaled(description: Description, jobs: Sequence[ScenesJob]) -> list[ScenesJob]:
    """Return the jobs with offset and scale of depth measured on training pictures."""
    rows = [(job, row) for job in jobs if job.split == "train" for row in job.rows]
    sample = thinned(rows, min(1.0, SAMPLE / len(rows)))
    pictures = (picture for job, row in sample for picture in replace(job, rows=(row,)).pictures())
    measured = measured_scales(pictures, "dkte")
    scaled = replace(description, normalisation=_known() | dict(measured))
    return [replace(job, description=scaled) for job in jobs]


def _known() -> dict[str, tuple[float, float]]:
    return {label: NORMALISATION[label] for label in ("rgb", "a", "s", "n")}


@dataclass(frozen=True)
class ScenesJob:
    """Read the images of one type of room that belong to one split."""

    description: Description
    file: Path
    split: Split
    client: str
    rows: tuple[int, ...]
    classes: tuple[int, ...]

    @property
    def images(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    def pictures(self) -> Iterator[Picture | LeftOut]:
        """Yield every image with its labels, or what is wrong with it."""
        class_of = np.zeros(1 << 16, np.uint8)
        class_of[list(self.classes)] = np.arange(1, len(self.classes) + 1)
        with opened(self.file) as file:
            for row in self.rows:
                yield self._checked(file, row, class_of)

    def _checked(
        self, file: h5py.File, row: int, class_of: npt.NDArray[np.uint8]
    ) -> Picture | LeftOut:
        name = f"image_{row:04d}"
        try:
            return self._picture(file, row, name, class_of)
        except OSError:
            return LeftOut(name, ((f"{self.file} image {row}", "unreadable"),))

    def _picture(
        self, file: h5py.File, row: int, name: str, class_of: npt.NDArray[np.uint8]
    ) -> Picture | LeftOut:
        size = self.description.size
        depth = np.asarray(file["depths"][row], np.float32).T
        if not (np.isfinite(depth).all() and (depth > 0).all()):
            return LeftOut(name, ((f"{self.file} image {row}", "depth is not above 0 m"),))
        rgb = area(_framed(np.asarray(file["images"][row]).transpose(2, 1, 0)), size)
        near = _framed(depth)
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "rgb": rgb,
            "s": class_of[nearest(_framed(np.asarray(file["labels"][row]).T), size)],
            "d": np.minimum(nearest(near, size) * 1000 + 0.5, 65535).astype(np.uint16),
            "n": nearest(_framed(normals(depth)), size),
            "k": keypoints(rgb),
            "t": texture_edges(rgb),
            "e": occlusion_edges(nearest(near, 2 * size)),
        }
        if self.description.masked:
            raw = nearest(_framed(np.asarray(file["rawDepths"][row], np.float32).T), size)
            arrays["mask"] = ((raw > 0) & (raw < FARTHEST_M)).astype(np.uint8)
        return Picture(name, arrays)


def _framed(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the middle square of the part that holds picture."""
    return centre_square(image[FRAME])


def normals(depth: Depth) -> npt.NDArray[np.int8]:
    """Return surface normals × 127 in camera axes (right, down, forward), facing the camera.

    The cross product of the differences, a few pixels to either side, of the points that a depth
    image (H, W) in metres stands for. At the border the nearest complete pixel counts.
    """
    height, width = depth.shape
    across = (np.arange(width, dtype=np.float32) - CENTRE_PX[0]) / FOCAL_PX[0]
    down = (np.arange(height, dtype=np.float32) - CENTRE_PX[1]) / FOCAL_PX[1]
    points = np.stack([depth * across, depth * down[:, None], depth], -1)
    reach = _NORMAL_REACH_PX
    right = (points[:, 2 * reach :] - points[:, : -2 * reach])[reach:-reach]
    below = (points[2 * reach :] - points[: -2 * reach])[:, reach:-reach]
    # right × below points away from the camera; its opposite is what the camera sees
    vectors = -np.cross(right, below)
    lengths = np.sqrt((vectors * vectors).sum(-1, keepdims=True))
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    whole = np.pad(np.floor(units * 127 + 0.5), ((reach, reach), (reach, reach), (0, 0)), "edge")
    return whole.astype(np.int8)
