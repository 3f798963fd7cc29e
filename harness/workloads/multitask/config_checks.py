"""Say what makes a configuration of multi-task runs impossible, beside single values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import DataError, HarnessError, UsageError, unknown
from harness.workloads.multitask.data.catalogue import SCENES
from harness.workloads.multitask.data.label_skew import CLASSES, DIRICHLET, NONE
from harness.workloads.multitask.training.descent import NESTEROV
from harness.workloads.multitask.training.joining import SERVERS, AveragedMomentum
from models.multitask.tasks import TASKS

if TYPE_CHECKING:
    from harness.workloads.multitask.config import MultitaskConfig

OF_SCENES = ("size", "clients", "images", "unseen_buildings", "unseen_images", "data_seed", "skew")
"""Options that say what to generate; other data sets are as they are."""


def with_data(config: MultitaskConfig, chosen: Mapping[str, Any]) -> MultitaskConfig:
    """Return the configuration with the numbers of an imported data set in place of options.

    Raises:
        DataError: if the data set is unknown, not here or damaged.
        UsageError: if options contradict it.
    """
    _check_label_skew(config, chosen)
    if config.data == SCENES:
        return config
    layout = config.buildings
    found: dict[str, Any] = {
        "size": layout.size,
        "clients": layout.count("train"),
        "images": layout.mean_length("train") + layout.mean_length("test"),
        "unseen_buildings": layout.count("test_unseen"),
        "unseen_images": layout.mean_length("test_unseen"),
        "data_seed": type(config).data_seed,
        "skew": type(config).skew,
    }
    if config.label_skew != NONE:  # then clients are who they are made
        found |= {name: chosen[name] for name in ("clients", "data_seed") if name in chosen}
    wrong = [name for name in OF_SCENES if chosen.get(name, found[name]) != found[name]]
    if wrong:
        options = ", ".join("--" + name.replace("_", "-") for name in wrong)
        text = f"{options}: only {SCENES} are made to measure, {config.data} is as it is"
        raise UsageError(text, "Leave it out.")
    return replace(config, **found)


def _check_label_skew(config: MultitaskConfig, chosen: Mapping[str, Any]) -> None:
    """Refuse options that say more of a skew that is not asked for, unless by their default.

    Raises:
        UsageError: naming them.
    """
    for name, kind in (("concentration", DIRICHLET), ("classes_each", CLASSES)):
        default = getattr(type(config), name)
        if chosen.get(name, default) != default and config.label_skew != kind:
            option_name = "--" + name.replace("_", "-")
            text = f"{option_name} does nothing with --label-skew {config.label_skew}"
            raise UsageError(text, f"Leave it out, or give --label-skew {kind}.")


def setting_problems(config: MultitaskConfig) -> list[HarnessError]:
    """Return what makes numbers, data or network impossible together."""
    found: list[HarnessError] = []
    if config.momentum >= 1.0:
        found.append(UsageError(f"--momentum must be below 1, got {config.momentum}"))
    if config.momentum == 0.0:
        found += _without_momentum(config)
    if config.clients_per_round > config.clients:
        found.append(
            UsageError(
                f"{config.clients_per_round} clients per round of {config.clients} clients"
                " is impossible",
                "Lower --clients-per-round or raise --clients.",
            )
        )
    found += _data_problems(config)
    found += _client_task_problems(config)
    if config.model == "xception" and config.size % 16:
        found.append(UsageError(f"xception needs --size in multiples of 16, got {config.size}"))
    return found


def _without_momentum(config: MultitaskConfig) -> list[HarnessError]:
    """Return which options are of a momentum that there is not."""
    asked = {
        "--optimizer nesterov": config.optimizer == NESTEROV,
        "--server averaged-momentum": SERVERS.get(config.server) == AveragedMomentum(),
    }
    return [
        UsageError(f"{option} does nothing with --momentum 0", "Leave one of them out.")
        for option, given in asked.items()
        if given
    ]


def _client_task_problems(config: MultitaskConfig) -> list[HarnessError]:
    """Return what makes it impossible that clients have labels of these tasks."""
    if not config.client_tasks:
        return []
    kinds = config.client_tasks.split("|")
    told = f"--client-tasks {config.client_tasks}: "
    strange = sorted({letter for kind in kinds for letter in kind} - set(config.tasks))
    found = []
    if strange:
        found.append(f"{', '.join(strange)} is not among the tasks {config.tasks}")
    if not all(kinds):
        found.append("a kind of clients has no task")
    if any(len(set(kind)) < len(kind) for kind in kinds):
        found.append("a kind of clients has a task twice")
    nobody = [task for task in config.tasks if task not in config.client_tasks]
    if nobody:
        found.append(f"no client has labels for {', '.join(nobody)}")
    if len(kinds) > config.clients:
        found.append(f"{len(kinds)} kinds of {config.clients} clients are impossible")
    example = f"{config.tasks[:-1]}|{config.tasks[1:]}"
    return [UsageError(told + text, f"For example --client-tasks '{example}'.") for text in found]


def _data_problems(config: MultitaskConfig) -> list[HarnessError]:
    try:
        layout = config.layout
    except DataError as error:
        return [error]
    missing = [task for task in config.tasks if task in TASKS and task not in layout.tasks]
    if missing:
        text = f"data set {config.data} has no labels for task {', '.join(missing)}"
        return [UsageError(text, f"It has: --tasks {layout.tasks}")]
    fewest = min(layout.lengths["train"])
    if config.label_skew != NONE and fewest < config.batch_size:
        client = layout.lengths["train"].index(fewest)
        text = (
            f"--label-skew {config.label_skew}: client {client} gets {fewest} training images,"
            f" which fill no --batch-size {config.batch_size}"
        )
        return [UsageError(text, "Lower --clients or --batch-size, or raise --images.")]
    return []


def task_problems(config: MultitaskConfig) -> list[HarnessError]:
    """Return what is wrong with the letters of the tasks."""
    found: list[HarnessError] = []
    for letter in dict.fromkeys(config.tasks):
        if letter not in TASKS:
            found.append(unknown("task letter", letter, TASKS))
        elif config.tasks.count(letter) > 1:
            found.append(UsageError(f"task '{letter}' is named twice in '{config.tasks}'"))
    if not config.tasks:
        found.append(UsageError("--tasks is empty", f"Known: {', '.join(TASKS)}"))
    return found
