"""List what this workload has: methods, networks, data sets, tasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.core.errors import DataError
from harness.records.listing import Item
from harness.workloads.multitask.data.catalogue import (
    DATA_SETS,
    IMPORTS,
    SCENES,
    classed_by,
    default_cache,
    read_layout,
    stores_in,
)
from harness.workloads.multitask.methods.parameters import Method, Parameter
from harness.workloads.multitask.methods.registry import METHODS
from models.multitask.measures import MEASURES as TASK_MEASURES
from models.multitask.registry import MODELS
from models.multitask.tasks import TASK_SETS, TASKS

KINDS = {int: "N", float: "X", bool: "yes|no", str: "WORD"}

COST_LEGEND = (
    "Cost: R rounds, R0 merged rounds, n tasks, |g| tasks of a group; E and D are what a"
    " round of the encoder and of one decoder costs, o is the share that look-aheads add; N"
    " clients, K of them in a round. [ ] holds defaults; --protocol release has others"
    " (docs/protocol.md)."
)


TASKS_LEGEND = (
    "A letter stands for a task. A task set is written by its letters, as in sdnkt; the groups of a"
    " split with a bar between them: sd|nkt are two networks, one for s and d, one for n, k and t."
    " The sets of the MAS paper: " + ", ".join(TASK_SETS) + "."
)


def _methods(_: str) -> Iterable[Item]:
    for method in METHODS.values():
        below = (
            f"cost {method.cost}", f"from {method.source}",
            *(_parameter(parameter) for parameter in method.parameters),
        )  # fmt: skip
        yield Item(method.name, True, method.meaning, _method_details(method), below)


def _parameter(parameter: Parameter) -> str:
    values = parameter.written or "|".join(parameter.choices) or KINDS[parameter.kind]
    default = f" [{parameter.typed_default}]" if parameter.typed_default else ""
    return f"{parameter.name}={values}  {parameter.meaning}{default}"


def _method_details(method: Method) -> dict[str, Any]:
    return {
        "cost": method.cost,
        "source": method.source,
        "parameters": [
            {
                "name": p.name,
                "kind": p.kind.__name__,
                "default": p.default,
                "meaning": p.meaning,
                "choices": list(p.choices),
            }
            for p in method.parameters
        ],
    }


def _models(_: str) -> Iterable[Item]:
    usable = find_spec("torch") is not None
    for name, (_where, meaning) in MODELS.items():
        yield Item(name, usable, meaning + ("" if usable else "; PyTorch is not installed"))


def _datasets(folder: str) -> Iterable[Item]:
    cache = Path(folder) if folder else default_cache(os.environ, Path.home())
    for name, meaning in DATA_SETS.items():
        if name == SCENES:
            usable = find_spec("numpy") is not None
            words = f"; --label-skew by {classed_by(name, '')}"
            yield Item(
                name, usable, meaning + words + ("" if usable else "; NumPy is not installed")
            )
        else:
            yield _imported(name, meaning, stores_in(cache, name))


_NEEDS = {"taskonomy": "PIL", "nyuv2": "h5py", "folder": "PIL"}
"""Module without which a data set cannot be imported; a finished store needs none."""


def _imported(name: str, meaning: str, stores: Sequence[Path]) -> Item:
    """Return an imported data set: its stores, or the command that makes one."""
    if not stores:
        install = "pip install 'mas-edge-harness[import]'; "
        command = (install if find_spec(_NEEDS.get(name, "PIL")) is None else "") + IMPORTS[name]
        text = f"{meaning}; not imported yet: {command}"
        return Item(name, False, text, {"stores": [], "fix": command})
    found = "; ".join(_store_words(path, name) for path in stores)
    return Item(name, True, f"{meaning}; {found}", {"stores": list(map(str, stores)), "fix": ""})


def _store_words(path: Path, name: str) -> str:
    try:
        layout = read_layout(path)
    except DataError as error:
        return error.message
    by = classed_by(name, layout.tasks) or "nothing"
    words = f"{layout.count('train')} clients, {layout.size} px, tasks {layout.tasks}"
    return f"{words}, --label-skew by {by}: {path}"


def _tasks(_: str) -> Iterable[Item]:
    for letter, task in TASKS.items():
        yield Item(
            letter, True, f"{task.name}: {task.meaning}; loss: {task.loss}",
            {"name": task.name, "meaning": task.meaning, "loss": task.loss},
        )  # fmt: skip


LISTS: Mapping[str, Callable[[str], Iterable[Item]]] = {
    "methods": _methods, "models": _models, "datasets": _datasets, "tasks": _tasks,
}  # fmt: skip


def measures_page() -> str:
    """Return the section on what `metrics.csv` holds for each task beside its losses."""
    lines = [
        "## Measures of the tasks",
        "",
        "Rows of `metrics.csv`, taken once at the end of every job, in phase evaluate.",
        "",
        "| tasks | metric | unit | better | meaning |",
        "|---|---|---|---|---|",
    ]
    for measures in dict.fromkeys(TASK_MEASURES.values()):
        tasks = " ".join(task for task, own in TASK_MEASURES.items() if own == measures)
        lines += [
            f"| {tasks} | `{m.name}` | {m.unit} | {m.better} | {m.meaning} |" for m in measures
        ]
    return "\n".join(lines)
