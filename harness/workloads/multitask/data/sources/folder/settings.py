"""Read `dataset.toml`, in which the owner of a folder says what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from devices.errors import DeviceError
from devices.toml_tables import TableReader, load_toml
from harness.core.errors import DataError
from harness.workloads.multitask.data.catalogue import OWN
from models.multitask.tasks import SEMANTIC_CLASSES, TASKS

FILE = "dataset.toml"


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
    try:
        values, text = load_toml(path)
        return TableReader(path, text, _problem).table(FolderSettings, values)
    except DeviceError as error:
        remedy = " ".join(filter(None, [error.remedy, "docs/data.md shows what must be in it."]))
        raise DataError(error.message, remedy) from error


def _problem(settings: object) -> tuple[str, str] | None:
    """Return the key and the fault of a value that parses but cannot be meant."""
    assert isinstance(settings, FolderSettings)
    return _wrong_name(settings.name) or _wrong_data(settings) or _wrong_task(settings)


def _wrong_name(name: str) -> tuple[str, str] | None:
    if "/" in name or not name.strip(". "):
        return "name", f"is '{name}', which cannot name a folder"
    if name in OWN:
        return "name", f"is '{name}', but '{name}' is taken: choose another"
    return None


def _wrong_data(settings: FolderSettings) -> tuple[str, str] | None:
    tasks = settings.tasks
    if not tasks or len(set(tasks)) != len(tasks) or any(task not in TASKS for task in tasks):
        return "tasks", f"is '{tasks}', expected letters of {''.join(TASKS)}, each once"
    if settings.size % 8 or not 16 <= settings.size <= 1024:
        return "size", f"is {settings.size}, expected a multiple of 8 from 16 to 1024"
    if "s" in tasks and not 2 <= len(settings.classes) <= SEMANTIC_CLASSES:
        return "classes", (
            f"has {len(settings.classes)} names, expected 2 to {SEMANTIC_CLASSES}"
            " with the ignored one first, as task s is among the tasks"
        )
    if "d" in tasks and settings.depth_unit_m <= 0:
        return "depth_unit_m", "is missing, as task d is among the tasks"
    return None


def _wrong_task(settings: FolderSettings) -> tuple[str, str] | None:
    for task, pair in settings.normalisation.items():
        if len(pair) != 2 or not pair[1]:
            return f"normalisation.{task}", f"is {list(pair)}, expected [offset, scale]"
    for key, named in (("normalisation", settings.normalisation), ("invalid", settings.invalid)):
        for task in named:
            if task not in settings.labels or (task == "s" and key == "invalid"):
                return f"{key}.{task}", "stands for no task whose labels it could be"
    return None
