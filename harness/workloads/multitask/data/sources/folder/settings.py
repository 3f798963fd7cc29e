"""Read `dataset.toml`, in which the owner of a folder says what it holds."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import DataError
from harness.workloads.multitask.data.catalogue import DATA_SETS
from models.multitask.tasks import SEMANTIC_CLASSES, TASKS

FILE = "dataset.toml"

_KEYS = {
    "name": str, "tasks": str, "size": int, "classes": list, "depth_unit_m": float,
    "normalisation": dict, "invalid": dict,
}  # fmt: skip


@dataclass(frozen=True)
class FolderSettings:
    """Hold what `dataset.toml` says.

    Attributes:
        name: What the data set is called.
        tasks: Letters of its tasks.
        size: Side of the stored pictures in pixels.
        classes: Names of the class ids, 0 first, which is ignored.
        depth_unit_m: Metres per unit of the depth files.
        normalisation: Task -> (offset, scale); measured where it is missing.
        invalid: Task -> value that marks invalid pixels.
    """

    name: str
    tasks: str
    size: int
    classes: tuple[str, ...] = ()
    depth_unit_m: float = 0.0
    normalisation: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    invalid: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a manifest."""
        return asdict(self)

    @property
    def labels(self) -> str:
        """Return the tasks that have files of their own; `a` learns the picture."""
        return "".join(letter for letter in self.tasks if TASKS[letter].label != "rgb")


def read_settings(path: Path) -> FolderSettings:
    """Read `dataset.toml`.

    Raises:
        DataError: naming the key that is missing, unknown or impossible.
    """
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - only where a folder is imported
    else:
        import tomli as tomllib  # noqa: PLC0415
    if not path.is_file():
        raise DataError(f"{path} is missing.", "docs/data.md shows what must be in it.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        settings = _settings(values)
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"{path}: {error}.", "docs/data.md shows what must be in it.") from error
    return settings


def _settings(values: Mapping[str, Any]) -> FolderSettings:
    for key, value in values.items():
        kind = _KEYS.get(key)
        if kind is None:
            raise ValueError(f"unknown key '{key}', expected one of {', '.join(_KEYS)}")
        allowed = (int, float) if kind is float else kind
        if not isinstance(value, allowed) or isinstance(value, bool):
            raise ValueError(f"{key} = {value!r}, expected a {kind.__name__}")
    for key in ("name", "tasks", "size"):
        if key not in values:
            raise ValueError(f"key '{key}' is missing")
    settings = FolderSettings(
        values["name"], values["tasks"], values["size"],
        tuple(map(str, values.get("classes", ()))), float(values.get("depth_unit_m", 0.0)),
        {task: _pair(task, pair) for task, pair in values.get("normalisation", {}).items()},
        {task: float(value) for task, value in values.get("invalid", {}).items()},
    )  # fmt: skip
    if "/" in settings.name or not settings.name.strip(". "):
        raise ValueError(f"name = '{settings.name}' cannot name a folder")
    if settings.name in DATA_SETS:
        raise ValueError(f"name = '{settings.name}' is taken: choose another")
    _check(settings)
    return settings


def _pair(task: str, pair: Sequence[float]) -> tuple[float, float]:
    if len(pair) != 2 or not float(pair[1]):
        raise ValueError(f"normalisation of {task} is {pair}, expected [offset, scale]")
    return float(pair[0]), float(pair[1])


def _check(settings: FolderSettings) -> None:
    tasks = settings.tasks
    if not tasks or len(set(tasks)) != len(tasks) or any(task not in TASKS for task in tasks):
        raise ValueError(f"tasks = '{tasks}', expected letters of {''.join(TASKS)}, each once")
    if settings.size % 8 or not 16 <= settings.size <= 1024:
        raise ValueError(f"size = {settings.size}, expected a multiple of 8 from 16 to 1024")
    if "s" in tasks and not 2 <= len(settings.classes) <= SEMANTIC_CLASSES:
        count = f"{len(settings.classes)} classes, expected 2 to {SEMANTIC_CLASSES}"
        raise ValueError(f"{count} with the ignored one first, as task s is among the tasks")
    if "d" in tasks and settings.depth_unit_m <= 0:
        raise ValueError("depth_unit_m is missing or not above 0, as task d is among the tasks")
    for key, named in (("normalisation", settings.normalisation), ("invalid", settings.invalid)):
        for task in named:
            if task not in settings.labels or (task == "s" and key == "invalid"):
                raise ValueError(f"{key}.{task} stands for no task whose labels it could be")
