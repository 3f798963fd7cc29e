"""Compute the loss of each task on a batch.

Class ids use cross entropy without id 0; every other task uses the mean absolute error of the
normalised label, as the published MAS and Standley et al. (ICML 2020) training code do.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from models.tasks import TASKS

IGNORED_CLASS = 0


def task_loss(task: str, prediction: Tensor, target: Tensor) -> Tensor:
    """Return the scalar mean loss of one task.

    `prediction` is (N, C, H, W). `target` is (N, H, W) class ids for cross entropy and
    (N, C, H, W) normalised values otherwise.
    """
    if TASKS[task].loss == "cross-entropy":
        # with the classes last in memory the softmax of a channels-last prediction needs no copy
        scores = prediction.permute(0, 2, 3, 1).reshape(-1, prediction.shape[1])
        return functional.cross_entropy(scores, target.reshape(-1), ignore_index=IGNORED_CLASS)
    return functional.l1_loss(prediction, target)
