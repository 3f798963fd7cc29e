"""Find a data set by what people call it: a name, a name and a folder, or a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devices import extensions
from devices.names import did_you_mean
from harness.core.errors import DataUsageError
from harness.core.shell_words import shell_word
from harness.workloads.multitask.data.manifest import MANIFEST, StoreManifest, read_manifest
from harness.workloads.multitask.data.split import Split

SCENES = "scenes"

OWN = {
    SCENES: "ray-cast rooms with exact labels, made on the spot",
    "taskonomy": "real rooms of 32 buildings, nine tasks; bring the data (Zamir et al., 2018)",
    "nyuv2": "real rooms by type, seven tasks; bring the file (Silberman et al., 2012)",
    "folder": "your own images and labels in the layout of docs/data.md",
}
"""Name -> meaning. All but `scenes` are imported once before they can be used."""

ROOMS = ("scenes", "nyuv2")
"""Data sets that know the type of room of every training picture."""

OWN_IMPORTS = {
    "taskonomy": "python -m harness.data import taskonomy DIR",
    "nyuv2": "python -m harness.data import nyuv2 nyu_depth_v2_labeled.mat",
    "folder": "python -m harness.data import folder DIR",
}


@dataclass(frozen=True)
class OutsideData:
    """Describe a data set from outside: who makes its pictures, once, when it is imported.

    Attributes:
        name: What people type.
        meaning: One line.
        prepare: Write pictures, labels and `dataset.toml` of docs/data.md into an empty folder.
    """

    name: str
    meaning: str
    prepare: Callable[[Path], None]


def outside_data() -> dict[str, OutsideData]:
    """Return the sound data sets from outside by name."""
    found = extensions.sound("datasets", _faults, tuple(OWN))
    return {name: thing for name, (thing, _) in found.items() if isinstance(thing, OutsideData)}


def _faults(thing: object, _: extensions.Offered) -> list[str]:
    """Return everything that is wrong with a data set from outside."""
    if not isinstance(thing, OutsideData):
        return ["DATASET is no harness.workloads.multitask.data.catalogue.OutsideData"]
    faults = [] if thing.meaning else ["its meaning is empty"]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", thing.name):
        faults.append(f"its name {thing.name!r} is not of small letters, digits and _")
    if not callable(thing.prepare):
        faults.append("its prepare cannot be called")
    return faults


class _Texts(Mapping[str, str]):
    """Be texts by the name of a data set: of this program, and behind them of those outside."""

    def __init__(self, own: Mapping[str, str], of: Callable[[OutsideData], str]) -> None:
        self._own, self._of = own, of

    def _all(self) -> dict[str, str]:
        return {**self._own, **{name: self._of(one) for name, one in outside_data().items()}}

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


DATA_SETS: Mapping[str, str] = _Texts(OWN, lambda one: one.meaning)
IMPORTS: Mapping[str, str] = _Texts(
    OWN_IMPORTS, lambda one: f"python -m harness.data import {one.name}"
)


@dataclass(frozen=True)
class Layout:
    """Say how many clients and images there are, before any is read.

    Attributes:
        tasks: Letters the data set can serve.
        size: Side of the pictures in pixels.
        lengths: Split -> number of images of each client.
        bytes: Size of all arrays.
    """

    tasks: str
    size: int
    lengths: dict[Split, tuple[int, ...]]
    bytes: int

    def count(self, split: Split) -> int:
        """Return the number of clients (or buildings) in a split."""
        return len(self.lengths[split])

    def images(self, split: Split) -> int:
        """Return the number of images in a split."""
        return sum(self.lengths[split])

    def mean_length(self, split: Split) -> int:
        """Return the mean number of images of a client in a split, rounded."""
        return round(self.images(split) / max(1, self.count(split)))


def classed_by(name: str, tasks: str) -> str:
    """Return by what the training pictures of a data set have a class; empty if they have none."""
    if name in ROOMS:
        return "type of room"
    return "most frequent class of s" if "s" in tasks else ""


def default_cache(environment: Mapping[str, str], home: Path) -> Path:
    """Return the folder data sets are kept in (XDG base directory specification)."""
    root = environment.get("XDG_CACHE_HOME")
    return (Path(root) if root else home / ".cache") / "mas-edge-harness"


def layout_of(manifest: StoreManifest) -> Layout:
    """Return the layout of a store."""
    what = manifest.description
    lengths = {s: tuple(e.images for e in entries) for s, entries in manifest.splits.items()}
    images = sum(map(sum, lengths.values()))
    return Layout(what.tasks, what.size, lengths, images * what.image_bytes)


def is_store(path: Path) -> bool:
    """Tell whether a folder is a finished store."""
    return (path / MANIFEST).is_file()


def is_cache(folder: Path) -> bool:
    """Say whether a folder is the usual cache, or holds finished data sets already."""
    usual = folder == default_cache(os.environ, Path.home())
    return usual or any(is_store(path) for path in folder.glob("*-*") if path.suffix != ".partial")


def stores_in(cache: Path, name: str) -> list[Path]:
    """Return the finished stores of a data set in a cache, in the order of their names."""
    found = (path for path in cache.glob(f"{name}-*") if path.suffix != ".partial")
    return sorted(path for path in found if is_store(path))


def find_store(wanted: str, cache: Path) -> Path:
    """Return the store that `NAME`, `NAME:PATH` or `PATH` stands for.

    A name alone stands for the only store of that data set in the cache. `scenes` is not looked
    for here: its settings say which store it is.

    Raises:
        DataUsageError: If the words stand for none, or for several.
    """
    name, colon, given = wanted.partition(":")
    if name in IMPORTS:
        return _checked(Path(given), IMPORTS[name]) if colon else _only(name, cache)
    if "/" in wanted or Path(wanted).is_dir():
        return _checked(Path(wanted), IMPORTS["folder"])
    raise DataUsageError(f"unknown data set '{wanted}'.", _known(wanted))


def _known(word: str) -> str:
    return (
        f"{did_you_mean(word, DATA_SETS)}Known: {', '.join(DATA_SETS)}, or the folder of a store."
    )


def _only(name: str, cache: Path) -> Path:
    found = stores_in(cache, name)
    if not found:
        message = f"data set {name} has not been imported into {cache}."
        raise DataUsageError(message, f"Import it once: {IMPORTS[name]}")
    if len(found) > 1:
        listed = "".join(f"\n  --dataset {shell_word(path)}" for path in found)
        message = f"there are {len(found)} stores of {name} in {cache}."
        raise DataUsageError(message, f"Say which:{listed}")
    return found[0]


def _checked(path: Path, command: str) -> Path:
    if is_store(path):
        return path
    if not path.is_dir():
        raise DataUsageError(f"there is no folder {path}.", "Name the folder of a store.")
    remedy = f"Import it once: {command.replace('DIR', str(path))}"
    raise DataUsageError(f"{path} is no finished store.", remedy)


def read_layout(path: Path) -> Layout:
    """Return the layout of the store in a folder.

    Raises:
        DataError: If it is none, or its manifest is damaged.
    """
    return layout_of(read_manifest(path))
