"""Compute the loss of each task on a batch.

Class ids use cross entropy without id 0; every other task uses the mean absolute error of the
normalised label, as the published MAS and Standley et al. (ICML 2020) training code do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from models.tasks import TASKS

IGNORED_CLASS = 0

TaskLoss = Callable[[str, Tensor, Tensor], Tensor]
"""Maps task letter, prediction and target to a scalar loss."""


def task_loss(task: str, prediction: Tensor, target: Tensor) -> Tensor:
    """Return the scalar mean loss of one task.

    `prediction` is (N, C, H, W). `target` is (N, H, W) class ids for cross entropy and
    (N, C, H, W) normalised values otherwise. Class scores may be coarser than the ids by a whole
    factor: each then counts for its block of pixels.
    """
    if TASKS[task].loss == "cross-entropy":
        return _cross_entropy(prediction, target)
    return functional.l1_loss(prediction, target)


def _cross_entropy(scores: Tensor, ids: Tensor) -> Tensor:
    """Return the cross entropy of nearest-neighbour enlarged scores, without enlarging them.

    All pixels of a block share one score vector, so counting the ids of a block is enough.
    """
    n, classes, height, width = scores.shape
    factor = ids.shape[-1] // width
    rows = torch.arange(height * factor, device=ids.device) // factor * width
    columns = torch.arange(width * factor, device=ids.device) // factor
    images = torch.arange(n, device=ids.device) * (height * width)
    blocks = images.view(n, 1, 1) + (rows.view(-1, 1) + columns)
    counts = torch.bincount(
        (ids + blocks * classes).view(-1), minlength=n * height * width * classes
    )
    counts = counts.view(-1, classes).to(scores.dtype)
    counts[:, IGNORED_CLASS] = 0.0
    # with the classes last in memory the softmax of a channels-last prediction needs no copy
    likelihood = functional.log_softmax(scores.permute(0, 2, 3, 1).reshape(-1, classes), dim=1)
    return -(counts * likelihood).sum() / counts.sum()
