"""Divide images into splits by whole groups, so that no place is in two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from harness.workloads.multitask.data.split import Split

HELD_OUT_SHARE = 8
LEAST_GROUPS = 3

Name = TypeVar("Name")


def split_by_group(groups: Sequence[Sequence[Name]]) -> dict[Split, list[Name]]:
    """Return train, validation and test images: whole groups each, at least one.

    The last eighth of the groups tests, the one before it validates, the others train.

    Raises:
        ValueError: If there are fewer than three groups.
    """
    if len(groups) < LEAST_GROUPS:
        msg = f"{len(groups)} groups cannot fill three splits"
        raise ValueError(msg)
    held_out = max(1, len(groups) // HELD_OUT_SHARE)
    first_test = len(groups) - held_out
    first_validation = first_test - held_out
    parts: dict[Split, Sequence[Sequence[Name]]] = {
        "train": groups[:first_validation],
        "validation": groups[first_validation:first_test],
        "test": groups[first_test:],
    }
    return {split: [name for group in part for name in group] for split, part in parts.items()}


def thinned(names: Sequence[Name], share: float) -> list[Name]:
    """Return an evenly spread share of the names, at least one."""
    kept = max(1, min(len(names), round(len(names) * share)))
    return [names[index * len(names) // kept] for index in range(kept)]
