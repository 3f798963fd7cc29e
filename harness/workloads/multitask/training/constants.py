"""Judge predictors that know nothing of the picture: the least a network has to beat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from harness.workloads.multitask.training.batches import Source
from harness.workloads.multitask.training.evaluation import MeanLoss, split_batches, unlabelled
from models.multitask.losses import IGNORED_CLASS, TaskLoss, task_loss
from models.multitask.tasks import SEMANTIC_CLASSES, TASKS

MEDIAN_BINS = 1 << 16
"""Bins from the least to the greatest label of a channel, from which its median is read."""


def constant_predictor_losses(
    source: Source, tasks: str, loss: TaskLoss = task_loss
) -> dict[str, dict[str, float]]:
    """Return the test losses of always predicting what is typical in training, by name and task.

    `mean_predictor_loss` is that of the training mean of every channel, or of the shares of the
    classes. `median_predictor_loss` is that of the training median (to a 131 070th of the range),
    the best constant for a mean absolute error; for classes the shares are the best there is.

    Raises:
        DataError: if no training or no test image has a label of some task.
    """
    summaries = {task: _Summary(task) for task in tasks}
    for targets in _targets(source, tasks):
        for task, target in targets.items():
            summaries[task].add(target)
    means = {task: summary.mean() for task, summary in summaries.items()}
    histograms = {
        task: _Histogram(summary)
        for task, summary in summaries.items()
        if TASKS[task].loss != "cross-entropy"
    }
    for targets in _targets(source, "".join(histograms)) if histograms else ():
        for task, target in targets.items():
            histograms[task].add(target)
    medians = means | {task: histogram.median() for task, histogram in histograms.items()}
    return {
        "mean_predictor_loss": _test_losses(source, means, loss),
        "median_predictor_loss": _test_losses(source, medians, loss),
    }


def recorded_constants(manifest: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the losses of constant predictors that a manifest tells of; none if it tells of none.

    Data, tasks and loss are what a run is recognised by, so these are still right.
    """
    try:
        return {
            str(name): {str(task): float(loss) for task, loss in losses.items()}
            for name, losses in manifest.get("constants", {}).items()
        }
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError):
        return {}


def _targets(source: Source, tasks: str) -> Iterator[dict[str, Tensor]]:
    return (targets for _, targets in split_batches(source, "train", tasks))


def _test_losses(
    source: Source, constants: Mapping[str, Tensor], loss: TaskLoss
) -> dict[str, float]:
    mean = MeanLoss(loss, "test")
    for images, targets in split_batches(source, "test", "".join(constants)):
        for task, constant in constants.items():
            shape = (len(images), len(constant), *images.shape[-2:])
            prediction = constant.float().view(1, -1, 1, 1).expand(shape)
            mean.add(task, prediction, targets[task])
    return mean.result()


class _Summary:
    """Gather count, sum and range of each channel of a label, or how often each class occurs."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._classes = TASKS[task].loss == "cross-entropy"
        channels = SEMANTIC_CLASSES if self._classes else TASKS[task].channels
        self._count = torch.zeros(channels, dtype=torch.int64)
        self._sum = torch.zeros(channels, dtype=torch.float64)
        self.low = torch.full((channels,), torch.inf)
        self.high = torch.full((channels,), -torch.inf)

    def add(self, target: Tensor) -> None:
        """Take in the target of one batch."""
        if self._classes:
            counted = torch.bincount(target.view(-1), minlength=SEMANTIC_CLASSES)
            counted[IGNORED_CLASS] = 0
            self._sum += counted
            self._count += counted.sum()
            return
        values = target.transpose(0, 1).flatten(1)
        known = ~values.isnan()
        self._sum += values.nansum(1, dtype=torch.float64)
        self._count += known.sum(1)
        self.low = self.low.minimum(values.where(known, torch.inf).amin(1))
        self.high = self.high.maximum(values.where(known, -torch.inf).amax(1))

    def mean(self) -> Tensor:
        """Return the mean of each channel, or the logarithm of each class's share."""
        if not self._count.all():
            raise unlabelled(self._task, "train")
        mean = self._sum / self._count
        # shares are a prediction once their logarithm is taken; an absent class stays finite
        return mean.clamp_min(1e-6).log() if self._classes else mean


class _Histogram:
    """Count the values of each channel between the least and the greatest that occur."""

    def __init__(self, summary: _Summary) -> None:
        self._low = summary.low.double()
        self._width = ((summary.high.double() - self._low) / (MEDIAN_BINS - 1)).clamp_min(1e-300)
        self._counts = torch.zeros(len(self._low), MEDIAN_BINS, dtype=torch.int64)

    def add(self, target: Tensor) -> None:
        """Take in the target of one batch."""
        for channel, values in enumerate(target.transpose(0, 1).flatten(1)):
            known = values[~values.isnan()].double()
            bins = ((known - self._low[channel]) / self._width[channel]).round_().long()
            self._counts[channel] += torch.bincount(bins, minlength=MEDIAN_BINS)

    def median(self) -> Tensor:
        """Return the lower median of each channel: half of the values are at most as large."""
        half = (self._counts.sum(1, keepdim=True) + 1) // 2
        bins = torch.searchsorted(self._counts.cumsum(1), half).squeeze(1)
        return self._low + bins * self._width
