"""Judge a global model on images nobody trains on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.core.errors import DataError
from harness.federated.observer import Observer
from harness.federated.task import StateJudgement
from harness.workloads.multitask.training.batches import (
    PROCESSOR,
    Batch,
    ClientBatches,
    Source,
    Split,
)
from harness.workloads.multitask.work import evaluating
from models.multitask.losses import TaskLoss
from models.multitask.measures import UNSEEN
from models.multitask.metrics import Accumulator, DepthScale, accumulator
from models.multitask.network import MultiTaskNet

BATCH_SIZE = 32


@dataclass(frozen=True)
class ModelJudgement:
    """Hold a model's losses by task; all but the test losses are only there at a job's end.

    `measures` are by task and name, those on unseen buildings with `unseen_` before the name.
    """

    losses: dict[str, float]
    unseen_losses: dict[str, float] = field(default_factory=dict)
    validation_losses: dict[str, float] = field(default_factory=dict)
    measures: dict[str, dict[str, float]] = field(default_factory=dict)

    def told(self) -> StateJudgement:
        """Return it in the engine's form; only the losses stay with the job's state."""
        losses = {
            "validation_loss": self.validation_losses,
            "test_loss": self.losses,
            "test_unseen_loss": self.unseen_losses,
        }
        values = [*losses.items(), *_by_name(self.measures)]
        return StateJudgement(
            losses, [(name, task, value) for name, found in values for task, value in found.items()]
        )


def _by_name(
    measures: Mapping[str, Mapping[str, float]],
) -> Iterator[tuple[str, Mapping[str, float]]]:
    for task, values in measures.items():
        for name, value in values.items():
            yield name, {task: value}


def judge(net: MultiTaskNet, source: Source, observer: Observer, *, final: bool) -> ModelJudgement:
    """Test a model; at the end of its job also validate it, and take every measure.

    Validation images are never looked at by anything that reports a result of a method: they are
    there for methods that choose among trained models.
    """
    if not final:
        return ModelJudgement(split_losses(net, source, "test", observer))
    tasks = "".join(net.tasks)
    seen, unseen = (accumulators(source, tasks) for _ in range(2))
    return ModelJudgement(
        split_losses(net, source, "test", observer, seen),
        split_losses(net, source, "test_unseen", observer, unseen),
        split_losses(net, source, "validation", observer),
        {
            task: seen[task].values()
            | {UNSEEN + name: value for name, value in unseen[task].values().items()}
            for task in tasks
        },
    )


def accumulators(source: Source, tasks: str) -> dict[str, Accumulator]:
    """Return a fresh accumulator of each task's measures."""
    offset, scale = source.normalisation.get("d", (0.0, 1.0))  # only depth asks for it
    depth = DepthScale(offset, scale, source.depth_unit_m)
    return {task: accumulator(task, depth) for task in tasks}


def split_losses(
    net: MultiTaskNet,
    source: Source,
    split: Split,
    observer: Observer,
    measures: Mapping[str, Accumulator] | None = None,
) -> dict[str, float]:
    """Return each task's loss on a split, nothing if the split is empty, and feed the measures.

    Every image of every building counts alike, or, where pixels lack a label, every labelled
    pixel: the result does not depend on how images fall into batches. The published code averages
    batch means instead, so that a last small batch counts as much as a full one.

    Raises:
        DataError: if there are images, but none has a label of some task.
    """
    tasks = "".join(net.tasks)
    mean = MeanLoss(net.loss, split)
    net.eval()
    with torch.no_grad():
        for images, targets in split_batches(source, split, tasks, net.device):
            for task, prediction in net(images).items():
                loss = mean.add(task, prediction, targets[task])
                if measures is not None and math.isfinite(loss):
                    measures[task].update(prediction.cpu(), targets[task].cpu())
            observer.work(evaluating(tasks, len(images)))
    return mean.result()


def split_batches(
    source: Source, split: Split, tasks: str, device: torch.device = PROCESSOR
) -> Iterator[Batch]:
    """Yield all images of a split, building by building."""
    for building in range(source.count(split)):
        yield from ClientBatches(source, split, building, tasks, device).in_order(BATCH_SIZE)


class MeanLoss:
    """Average the losses of batches by what each is the mean over."""

    def __init__(self, loss: TaskLoss, split: Split) -> None:
        self._loss = loss
        self._split = split
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}

    def add(self, task: str, prediction: Tensor, target: Tensor) -> float:
        """Take in one batch and return its loss."""
        loss = float(self._loss(task, prediction, target))
        weight = self._loss.weight(task, target)
        self._sums[task] = self._sums.get(task, 0.0) + loss * weight
        self._weights[task] = self._weights.get(task, 0.0) + weight
        return loss

    def result(self) -> dict[str, float]:
        """Return the mean of every task that was added."""
        for task, weight in self._weights.items():
            if weight == 0.0:
                raise unlabelled(task, self._split)
        return {task: total / self._weights[task] for task, total in self._sums.items()}


def unlabelled(task: str, split: Split) -> DataError:
    """Return the error for a task of which no pixel of a split has a label."""
    return DataError(
        f"no pixel of the {split} images has a label of task '{task}'",
        "Leave the task out of --tasks, or import data that hold it.",
    )
