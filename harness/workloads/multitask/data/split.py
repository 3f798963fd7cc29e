"""Name the parts a data set is divided into."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Split: TypeAlias = Literal["train", "validation", "test", "test_unseen"]

SPLITS: tuple[Split, ...] = get_args(Split)
"""What clients train on, their own held-out data twice over, and data that no client owns."""


def shard_name(split: Split, client: str) -> str:
    """Return the folder of one client (or building) in a store."""
    return f"{split}/{client}"
