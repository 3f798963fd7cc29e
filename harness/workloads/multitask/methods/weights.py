"""Read weights of tasks as people type them: `s:1,d:4`; tasks that are not named weigh 1."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.core.errors import UsageError
from harness.workloads.multitask.methods.parameters import Parameter, Value
from harness.workloads.multitask.methods.schedule import Setting
from models.multitask.tasks import TASKS

WRITTEN = "s:1,d:4"


@dataclass(frozen=True)
class WeightsParameter(Parameter):
    """Describe a parameter whose value is weights of tasks."""

    def read(self, text: str, where: str) -> Value:
        """Return the text as it was typed, once it can be read.

        Raises:
            UsageError: if it cannot, naming the task or number that is wrong.
        """
        task_weights(text, where)
        return text

    def problem(
        self, value: Value, values: Mapping[str, Value], setting: Setting, where: str
    ) -> UsageError | None:
        """Return which task a run does not train, or that clients train unlike tasks."""
        if not value:
            return None
        if setting.client_tasks:
            return UsageError(f"{where}: weights need clients that all have every task's labels")
        strange = [task for task in task_weights(str(value), where) if task not in setting.tasks]
        if strange:
            return UsageError(
                f"{where}: task '{strange[0]}' is none of this run's tasks, {setting.tasks}",
                f"Give weights to some of {', '.join(setting.tasks)}.",
            )
        return super().problem(value, values, setting, where)

    @property
    def written(self) -> str:
        """Return an example of a value."""
        return WRITTEN


def task_weights(text: str, where: str) -> dict[str, float]:
    """Return weight by task.

    Raises:
        UsageError: if a task is unknown or named twice, or a weight is no number above 0.
    """
    found: dict[str, float] = {}
    for piece in text.split(","):
        task, colon, number = (part.strip() for part in piece.partition(":"))
        if not colon:
            raise UsageError(f"{where}: '{piece}' is no weight of a task", f"Write {WRITTEN}.")
        if task not in TASKS:
            near = difflib.get_close_matches(task, [t.name for t in TASKS.values()], 1, 0.4)
            letters = [letter for letter, t in TASKS.items() if near and t.name == near[0]]
            hint = f" Did you mean {letters[0]}, {near[0]}?" if letters else ""
            raise UsageError(
                f"{where}: '{task}' is no letter of a task", f"Tasks: {', '.join(TASKS)}.{hint}"
            )
        if task in found:
            raise UsageError(f"{where}: task {task} has two weights")
        found[task] = _positive(number, task, where)
    return found


def _positive(text: str, task: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{where}: the weight of {task} is a number, not '{text}'") from None
    if not (math.isfinite(value) and value > 0.0):
        raise UsageError(
            f"{where}: the weight of {task} must be a finite number above 0, not {text}",
            "A task without weight is not trained: leave it out of --tasks.",
        )
    return value


def normalised(weights: Mapping[str, float], tasks: str) -> dict[str, float]:
    """Return weights of all tasks that sum to their number; what is not named weighs 1 before."""
    given = {task: weights.get(task, 1.0) for task in tasks}
    largest = max(given.values())
    total = math.fsum(weight / largest for weight in given.values())
    return {task: weight / largest / total * len(tasks) for task, weight in given.items()}
