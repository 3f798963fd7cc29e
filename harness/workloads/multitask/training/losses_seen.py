"""Sum up the losses that a client saw, without asking a GPU for one before the round is over."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mean_losses(
    tasks: Sequence[str], passed: Sequence[tuple[int, dict[str, Tensor]]]
) -> dict[str, float]:
    """Return each task's mean loss over images, from pairs of images and losses of every batch.

    The numbers are fetched task by task, all batches at once, and added in double precision.
    """
    seen = sum(images for images, _ in passed)
    sums = dict.fromkeys(tasks, 0.0)
    for task in tasks:
        losses = torch.stack([losses[task] for _, losses in passed]).tolist()
        for loss, (images, _) in zip(losses, passed, strict=True):
            sums[task] += loss * images
    return {task: total / seen for task, total in sums.items()}
