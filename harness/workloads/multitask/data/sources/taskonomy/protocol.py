"""Divide a building's pictures, without or with the faults of the MAS release."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

from harness.workloads.multitask.data.sources.grouping import split_by_group
from harness.workloads.multitask.data.sources.taskonomy.layout import TaskonomyView
from harness.workloads.multitask.data.split import Split

FAULTS = {
    "train-holds-test": "validation and test pictures are trained on too",
    "bilinear-labels": "labels are shrunk like photographs, so that class ids and depths blend",
    "signed-16-bit": "16-bit labels are read as signed: invalid depth becomes -1 and passes as"
    " valid (newer Pillow versions do this to the release)",
    "stale-labels": "where a label cannot be read the one of the picture before is used",
}
"""What the release's loader does to the data, each for itself; algorithm as read in its code."""

PROTOCOLS: dict[str, tuple[str, ...]] = {
    "repaired": (),
    "release": ("train-holds-test", "bilinear-labels"),
}
"""Protocol -> faults it has anyway. The other two depend on versions and on broken files."""

RELEASE_VALIDATION = slice(0, 100)
RELEASE_TEST = slice(1000, 2000)


def divide(
    views: Sequence[TaskonomyView], faults: Collection[str]
) -> dict[Split, list[TaskonomyView]]:
    """Return the pictures of one building by split.

    Repaired: all views of a point are in one split, the last eighth of the points tests, the one
    before it validates. Release: pictures 0 to 99 and 1000 to 1999 in the order of their names
    as text, and everything trains.

    Raises:
        ValueError: If the building is too small.
    """
    if "train-holds-test" not in faults:
        ordered = sorted(views, key=lambda view: (view.point, view.view))
        return split_by_group([list(group) for _, group in groupby(ordered, lambda v: v.point)])
    by_name = sorted(views, key=lambda view: view.file("rgb"))
    parts: dict[Split, list[TaskonomyView]] = {
        "train": by_name,
        "validation": by_name[RELEASE_VALIDATION],
        "test": by_name[RELEASE_TEST],
    }
    if not parts["test"]:
        msg = f"{len(views)} pictures, none of them after the first {RELEASE_TEST.start}"
        raise ValueError(msg)
    return parts
