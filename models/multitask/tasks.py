"""Name the tasks: their letters, output channels, stored labels, and the losses they can learn by.

Letters and channel counts are those of the Taskonomy-based literature (MAS, ICCV 2023; Standley
et al., ICML 2020). Only plain data lives here, so that listing tasks needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SEMANTIC_CLASSES = 18
"""17 classes and the ignored id 0, as in the Taskonomy networks."""


@dataclass(frozen=True)
class Task:
    """Describe one dense prediction task.

    `label` is the name of the stored array it learns from; `loss` is `cross-entropy` on class ids
    (id 0 ignored) or `l1` on (stored - offset) / scale.
    """

    letter: str
    name: str
    channels: int
    loss: Literal["cross-entropy", "l1"]
    label: str
    meaning: str


TASKS: dict[str, Task] = {
    task.letter: task
    for task in (
        Task(
            "s",
            "semantic segmentation",
            SEMANTIC_CLASSES,
            "cross-entropy",
            "s",
            "what each pixel shows, one of 17 classes such as wall or chair",
        ),
        Task("d", "depth", 1, "l1", "d", "how far from the camera each pixel is"),
        Task(
            "n",
            "surface normals",
            3,
            "l1",
            "n",
            "in which direction the surface of each pixel faces",
        ),
        Task(
            "k",
            "2D keypoints",
            1,
            "l1",
            "k",
            "how well each pixel can be found again in another picture",
        ),
        Task("t", "texture edges", 1, "l1", "t", "edges of brightness"),
        Task("e", "occlusion edges", 1, "l1", "e", "edges where one thing hides another"),
        Task("r", "reshading", 1, "l1", "r", "the scene lit by one lamp at the camera"),
        Task(
            "c",
            "principal curvature",
            2,
            "l1",
            "c",
            "how the surface of each pixel is bent, in two directions",
        ),
        Task(
            "a",
            "auto-encoder",
            3,
            "l1",
            "rgb",
            "the picture itself, after it went through the encoder",
        ),
    )
}

DETAIL_TASKS = "kta"
"""Tasks whose labels are computed from the picture's own fine structure."""

TASK_SETS = ("sdnkt", "erckt", "sdnkterca")
"""The task sets of the MAS paper."""

LOSSES = {
    "auto": "plain where every pixel has a label, else masked",
    "plain": "cross entropy without id 0, mean absolute error for the rest",
    "masked": "as plain, pixels without label left out of the mean",
    "rotated": "as auto, depth and normals forgiven a shift of one pixel",
    "release": "as rotated, but means divide by all pixels, as the published code does",
}
"""Name → meaning of what `--loss` takes; `models.multitask.losses` computes them."""
