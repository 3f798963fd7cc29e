"""Judge a global model on images nobody trains on, beside a predictor that knows only the mean."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from harness.federated.batches import ClientBatches, Source, Split
from harness.federated.observer import Observer
from harness.federated.work import evaluating
from models.losses import task_loss
from models.network import MultiTaskNet
from models.tasks import SEMANTIC_CLASSES, TASKS

BATCH_SIZE = 32


def test_losses(
    net: MultiTaskNet, source: Source, split: Split, observer: Observer
) -> dict[str, float]:
    """Return each task's loss on a split, every image of every building counting alike."""
    tasks = "".join(net.tasks)
    sums = dict.fromkeys(net.tasks, 0.0)
    images_seen = 0
    net.eval()
    with torch.no_grad():
        for building in range(source.count(split)):
            for images, targets in ClientBatches(source, split, building, tasks).in_order(
                BATCH_SIZE
            ):
                for task, prediction in net(images).items():
                    sums[task] += float(net.loss(task, prediction, targets[task])) * len(images)
                images_seen += len(images)
                observer.work(evaluating(tasks, len(images)))
    return {task: total / images_seen for task, total in sums.items()}


def mean_predictor_losses(source: Source, tasks: str) -> dict[str, float]:
    """Return each task's test loss of always predicting the training mean (or class shares).

    It is the least a network has to beat before its cost means anything.
    """
    return {task: _constant_loss(source, task, _training_mean(source, task)) for task in tasks}


def _training_mean(source: Source, task: str) -> Tensor:
    sums: list[Tensor] = []
    pixels = 0
    for client in range(source.count("train")):
        batches = ClientBatches(source, "train", client, task)
        for _, targets in batches.in_order(BATCH_SIZE):
            sums.append(_channel_sums(task, targets[task]))
            pixels += targets[task].numel() // _channels(task, targets[task])
    return torch.stack(sums).sum(0) / pixels


def _channel_sums(task: str, target: Tensor) -> Tensor:
    if TASKS[task].loss == "cross-entropy":
        return torch.from_numpy(np.bincount(target.numpy().ravel(), minlength=SEMANTIC_CLASSES))
    return target.double().sum(dim=(0, 2, 3))


def _channels(task: str, target: Tensor) -> int:
    return 1 if TASKS[task].loss == "cross-entropy" else target.shape[1]


def _constant_loss(source: Source, task: str, mean: Tensor) -> float:
    # shares of classes are a prediction once their logarithm is taken; an absent class stays finite
    constant = mean.clamp_min(1e-6).log() if TASKS[task].loss == "cross-entropy" else mean
    total, images_seen = 0.0, 0
    for client in range(source.count("test")):
        batches = ClientBatches(source, "test", client, task)
        for images, targets in batches.in_order(BATCH_SIZE):
            shape = (len(images), len(constant), *images.shape[-2:])
            prediction = constant.float().view(1, -1, 1, 1).expand(shape)
            total += float(task_loss(task, prediction, targets[task])) * len(images)
            images_seen += len(images)
    return total / images_seen
