"""Find out which of a run's trained models answer what: a method's models together are deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import DamagedRunError, UsageError, unknown
from harness.evidence.completeness import finish
from harness.evidence.reading import RunFiles
from harness.evidence.tables import Row
from harness.workloads.multitask.job import tasks_named


@dataclass(frozen=True)
class Model:
    """Name one trained model.

    Attributes:
        job: Federated job that trained it; the stem of its file of weights.
        tasks: Letters of the tasks it serves, in the order of its training.
        trained: Letters of all tasks it was trained on.
        weights: File of its weights.
        losses: Test loss of each served task, as the run found it.
    """

    job: str
    tasks: str
    trained: str
    weights: Path
    losses: Mapping[str, float] = field(hash=False)


@dataclass(frozen=True)
class Deployment:
    """Hold the models of one cell and which of them answer one image completely.

    Where clients have models of their own, an image is answered by those of one client, and the
    loss of a task is the mean over all.
    """

    cell: str
    method: str
    seed: int
    repeat: int
    models: tuple[Model, ...]

    @property
    def answering(self) -> tuple[Model, ...]:
        """Return the models that one image goes through, each task served by one of them."""
        found: dict[str, Model] = {}
        for model in self.models:
            for task in model.tasks:
                found.setdefault(task, model)
        return tuple(dict.fromkeys(found.values()))

    @property
    def tasks(self) -> str:
        """Return the letters of all tasks that are served."""
        return "".join(dict.fromkeys(t for model in self.models for t in model.tasks))


def chosen_cells(run: RunFiles, methods: Sequence[str], seeds: Sequence[int] | None) -> list[Row]:
    """Return the finished cells to deploy: of each method and seed the first repeat.

    Repeats of a seed are the same training measured again, so their models are the same.

    Args:
        run: The run.
        methods: Methods as typed in the run, or their names without parameters; empty for all.
        seeds: Learning seeds; empty for the first that has a finished cell, None for all.

    Raises:
        UsageError: if a method or seed is not in the run.
        DamagedRunError: if no cell is finished.
    """
    done = run.done
    if not done:
        raise DamagedRunError(
            f"{run.folder}: no cell is finished, so there are no models",
            finish(run),
        )
    there = list(dict.fromkeys(str(row["method"]) for row in done))
    wanted = [m for name in methods for m in _matching(name, there)] if methods else there
    have = sorted({int(row["seed"]) for row in done})
    asked = have if seeds is None else list(seeds or have[:1])
    strange = [seed for seed in asked if seed not in have]
    if strange:
        listed = ", ".join(map(str, have))
        raise UsageError(f"--seeds: the run has no finished cell of seed {strange[0]}",
                         f"It has: {listed}")  # fmt: skip
    first: dict[tuple[str, int], Row] = {}
    for row in sorted(done, key=lambda row: int(row["repeat"])):
        first.setdefault((str(row["method"]), int(row["seed"])), row)
    keys = [(method, seed) for seed in asked for method in dict.fromkeys(wanted)]
    return [first[key] for key in keys if key in first]


def _matching(name: str, there: Sequence[str]) -> list[str]:
    found = [method for method in there if name in (method, method.partition(":")[0])]
    if not found:
        short = (method.partition(":")[0] for method in there)
        raise unknown("method of this run", name, dict.fromkeys([*there, *short]))
    return found


def deployment(run: RunFiles, row: Row) -> Deployment:
    """Return the models of a finished cell.

    Raises:
        DamagedRunError: if the run does not say who serves a task, or a file of weights is missing.
    """
    cell = str(row["cell"])
    serving = _serving(run, row)
    unserved = set(str(row["tasks"])) - {task for tasks in serving.values() for task in tasks}
    if unserved:
        raise DamagedRunError(
            f"{cell}: the run does not say which model serves {', '.join(sorted(unserved))}"
        )
    losses = _test_losses(run, cell)
    models = []
    for job, tasks in serving.items():
        trained = tasks_named(job)
        path = run.folder / "checkpoints" / cell / f"{job}.safetensors"
        if not path.is_file() or Path(job).name != job:
            raise DamagedRunError(
                f"{cell}: its weights are not there: {path} is missing",
                "Copy checkpoints/ of the run along, or train it again.",
            )
        served = "".join(task for task in trained if task in tasks)
        found = {task: losses[job, task] for task in served if (job, task) in losses}
        models.append(Model(job, served, trained, path, found))
    return Deployment(cell, str(row["method"]), int(row["seed"]), int(row["repeat"]),
                      tuple(models))  # fmt: skip


def _serving(run: RunFiles, row: Row) -> dict[str, str]:
    """Return job → tasks it serves; runs that do not say are read by the groups of the split."""
    own = [m for m in run.tables["metrics.csv"].rows if m["cell"] == row["cell"]]
    found: dict[str, str] = {}
    for metric in own:
        if metric["metric"] == "serves":
            job = str(metric["job"])
            found[job] = found.get(job, "") + str(metric["task"])
    if found:
        return found
    taken: set[str] = set()
    for group in str(row["groups"]).split("|"):
        found[group] = "".join(task for task in group if task not in taken)
        taken |= set(group)
    return {job: tasks for job, tasks in found.items() if tasks}


def _test_losses(run: RunFiles, cell: str) -> dict[tuple[str, str], float]:
    """Return the last test loss by job and task."""
    rows = [m for m in run.tables["metrics.csv"].rows
            if m["cell"] == cell and m["metric"] == "test_loss"]  # fmt: skip
    last = sorted(rows, key=lambda m: int(m["round"] or 0))
    return {(str(m["job"]), str(m["task"])): float(m["value"]) for m in last}
