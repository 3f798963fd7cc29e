"""Know where the published data keep each image, how it is encoded and what it is scaled by.

Folders, encodings and constants: Taskonomy's documentation and the training code of Standley et
al. (ICML 2020), which the MAS release (EasyFL, applications/mas) takes over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.workloads.multitask.data.label_format import LabelFormat
from harness.workloads.multitask.data.picture_files import CLASSES, GREY16, MASK, RGB8, Encoding

CLIENTS = (
    "allensville", "beechwood", "benevolence", "coffeen", "collierville", "corozal", "cosmos",
    "darden", "forkland", "hanson", "hiteman", "ihlen", "klickitat", "lakeville", "leonardo",
    "lindenwood", "markleeville", "marstons", "mcdade", "merom", "mifflinburg", "muleshoe",
    "newfields", "noxapater", "onaga", "pinesdale", "pomaria", "ranchester", "shelbyville",
    "stockman", "tolstoy", "uvalda",
)  # fmt: skip
"""The buildings of the MAS paper, one client each."""

CLASS_NAMES = (
    "uncertain", "background", "bottle", "chair", "couch", "potted plant", "bed", "dining table",
    "toilet", "tv", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock",
    "vase",
)  # fmt: skip

SIDE_PX = 512
DEPTH_UNIT_M = 1 / 512
FARTHEST_VALID = 1 << 13
"""First depth (16 m) that counts as invalid where there is no mask file."""

CURVATURE_STEPS = 2000
"""Stored steps per unit of normalised curvature: its two channels are scaled apart."""
CURVATURE_MEAN = (0.5175, 0.4987)
CURVATURE_SPREAD = (0.1373, 0.0359)


@dataclass(frozen=True)
class Files:
    """Say where the files of one label are and how they are encoded and stored.

    Attributes:
        folders: Names the folder may have; the same name ends the file names.
        encoding: How the PNG files must be encoded.
        stored: How the store keeps the label.
        scale: (offset, scale) of stored values.
    """

    folders: tuple[str, ...]
    encoding: Encoding
    stored: LabelFormat
    scale: tuple[float, float] = (0.0, 1.0)


def _grey(folder: str, meaning: str, offset: float, scale: float) -> Files:
    return Files((folder,), GREY16, LabelFormat("uint16", 0, meaning), (offset, scale))


RGB = Files(("rgb",), RGB8, LabelFormat("uint8", 3, "picture, red green blue"), (0.0, 255.0))
MASKS = Files(("mask", "mask_valid"), MASK, LabelFormat("uint8", 0, "1 where labels are valid"))

LABELS: dict[str, Files] = {
    "s": Files(
        ("segment_semantic", "segmentsemantic"), CLASSES,
        LabelFormat("uint8", 0, "semantic class, 0 uncertain"),
    ),
    "d": _grey("depth_zbuffer", "z-depth in 1/512 m", 1500.0, 1000.0),
    "n": Files(
        ("normal",), RGB8, LabelFormat("uint8", 3, "normal, 127 is zero"), (127.5, 127.5)
    ),
    "k": _grey("keypoints2d", "two-dimensional key points", 50.0, 100.0),
    "t": _grey("edge_texture", "texture edges", 718.0, 1070.0),
    "e": _grey("edge_occlusion", "occlusion edges", 56.0248, 239.1265),
    "r": Files(
        ("reshading",), RGB8, LabelFormat("uint16", 0, "reshading: red + green + blue"),
        (0.4962 * 765, 0.2846 * 765),
    ),
    "c": Files(
        ("principal_curvature",), RGB8,
        LabelFormat("int16", 2, f"principal curvatures, normalised × {CURVATURE_STEPS}"),
        (0.0, float(CURVATURE_STEPS)),
    ),
}  # fmt: skip
"""Task letter -> files; task `a` learns the picture itself."""

NEEDS_MASK = "dnerc"
"""Tasks whose labels come from the scan and are invalid where it has holes."""

_NAME = re.compile(r"point_(\d+)_view_(\d+)_domain_rgb\.png")


@dataclass(frozen=True)
class TaskonomyView:
    """Name one picture of a building: the point looked at and the camera that looks."""

    point: int
    view: int

    @property
    def stem(self) -> str:
        """Return what the names of all its files begin with."""
        return f"point_{self.point}_view_{self.view}"

    def file(self, domain: str) -> str:
        """Return the name of one of its files."""
        return f"{self.stem}_domain_{domain}.png"


def parse_name(name: str) -> TaskonomyView | None:
    """Return which picture a file name stands for; None if it follows another scheme."""
    found = _NAME.fullmatch(name)
    return TaskonomyView(int(found[1]), int(found[2])) if found else None
