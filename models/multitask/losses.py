"""Compute the loss of each task on a batch.

Class ids use cross entropy without id 0; every other task uses the mean absolute error of the
normalised label, as the published MAS and Standley et al. (ICML 2020) training code do. What
differs between the kinds of loss is what becomes of pixels without label (NaN in the target), and
whether depth and normals are forgiven a shift of one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from models.multitask.side_by_side import rows
from models.multitask.tasks import TASKS

IGNORED_CLASS = 0

ROTATED_TASKS = "dn"
"""Tasks that the published training forgives a shift; its loss of `e` says so and does not."""

SHIFTS = tuple((row, column) for row in range(3) for column in range(3))
"""Corners, in the prediction, of a window that is two pixels smaller than the picture."""


class TaskLoss(Protocol):
    """Tell how far a prediction is from its target."""

    def __call__(self, task: str, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of a task on a batch."""
        ...

    def weight(self, task: str, target: Tensor) -> float:
        """Return how many images that loss is the mean over, parts of images counted as such."""
        ...


@dataclass(frozen=True)
class Losses:
    """Compute one kind of loss for any task.

    Attributes:
        masked: pixels without label have neither loss nor gradient. Otherwise the target must not
            hold NaN.
        rotated: the error of d and n is each image's least over nine shifts of the prediction by up
            to one pixel, the target cropped by one pixel on every side, then the mean over images.
        divide_by_all: means divide by all pixels, those without label too, so that an image with
            few labels counts little.
    """

    masked: bool = False
    rotated: bool = False
    divide_by_all: bool = False

    def __call__(self, task: str, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the scalar mean loss of one task; 0 where no pixel has a label.

        `prediction` is (N, C, H, W). `target` is (N, H, W) class ids for cross entropy and
        (N, C, H, W) normalised values otherwise. Class scores may be coarser than the ids by a
        whole factor: each then counts for its block of pixels.
        """
        if TASKS[task].loss == "cross-entropy":
            return _cross_entropy(prediction, target)
        if self.rotated and task in ROTATED_TASKS:
            return self._rotated(prediction, target)
        if not self.masked:
            return functional.l1_loss(prediction, target)
        if self.divide_by_all:
            return functional.l1_loss(prediction, _filled(target, prediction))
        total = functional.l1_loss(prediction, _filled(target, prediction), reduction="sum")
        return total / _valid(target).sum().clamp_min(1)

    def weight(self, task: str, target: Tensor) -> float:
        """Return how many images the loss is the mean over.

        Means over batches that are weighted so are the mean over the whole, whatever the batches.
        """
        if TASKS[task].loss == "cross-entropy":
            return int((target != IGNORED_CLASS).sum()) / target[0].numel()
        if self.divide_by_all or not self.masked:
            return float(len(target))
        if self.rotated and task in ROTATED_TASKS:
            return float(_valid(_inner(target)).flatten(1).any(1).sum())
        return int(_valid(target).sum()) / target[0].numel()

    def _rotated(self, prediction: Tensor, target: Tensor) -> Tensor:
        inner = _inner(target)
        valid = _valid(inner) if self.masked else None
        if valid is not None:
            inner = inner.where(valid, 0.0)

        def per_image(window: Tensor) -> Tensor:
            """Return the summed error of each image."""
            errors = (window - inner).abs()
            return (errors if valid is None else errors * valid).sum((1, 2, 3))

        with torch.no_grad():  # only the best window is worth remembering for the backward pass
            sums = torch.stack([per_image(_window(prediction, at)) for at in SHIFTS])
        best = enumerate(sums.argmin(0).tolist())
        chosen = torch.cat([_window(prediction[i : i + 1], SHIFTS[at]) for i, at in best])
        if valid is None or self.divide_by_all:
            return per_image(chosen).mean() / inner[0].numel()
        counts = valid.sum((1, 2, 3))
        means = per_image(chosen) / counts.clamp_min(1)
        return means.sum() / counts.count_nonzero().clamp_min(1)


task_loss = Losses()
"""The plain loss: every pixel has a label."""


def named(name: str, *, masked: bool) -> Losses:
    """Return the loss of that name (`tasks.LOSSES`); `masked` says what the data are.

    Raises:
        ValueError: if the loss is for data without gaps and these have some.
        KeyError: if there is no such loss.
    """
    kinds = {
        "auto": Losses(masked=masked),
        "plain": Losses(),
        "masked": Losses(masked=True),
        "rotated": Losses(masked=masked, rotated=True),
        "release": Losses(masked=masked, rotated=True, divide_by_all=True),
    }
    if name == "plain" and masked:
        raise ValueError("the plain loss needs a label at every pixel")
    return kinds[name]


def _valid(target: Tensor) -> Tensor:
    return ~target.isnan()


def _filled(target: Tensor, prediction: Tensor) -> Tensor:
    """Return the target with the prediction itself where there is no label.

    The difference is then exactly 0 there, and so is its gradient, as the sign of 0 is 0.
    """
    return torch.where(target.isnan(), prediction.detach(), target)


def _inner(target: Tensor) -> Tensor:
    return _window(target, (1, 1))


def _window(picture: Tensor, at: tuple[int, int]) -> Tensor:
    height, width = picture.shape[-2] - 2, picture.shape[-1] - 2
    return picture[..., at[0] : at[0] + height, at[1] : at[1] + width]


def _cross_entropy(scores: Tensor, ids: Tensor) -> Tensor:
    """Return the cross entropy of nearest-neighbour enlarged scores, without enlarging them.

    All pixels of a block share one score vector, so counting the ids of a block is enough. Few
    calls pass over all scores, as each takes as long as a small layer; the closed form of the
    gradient, written out, was slower than this.
    """
    likelihood = functional.log_softmax(rows(scores), dim=1)
    total = (ids != IGNORED_CLASS).count_nonzero().clamp_min(1).neg()
    return torch.dot(likelihood.view(-1), _counts(ids, scores)) / total


def _counts(ids: Tensor, scores: Tensor) -> Tensor:
    """Return how often each class but the ignored one occurs in each block: (blocks · classes)."""
    n, classes, height, width = scores.shape
    factor = ids.shape[-1] // width
    blocks = torch.arange(0, scores.numel(), classes, device=ids.device)
    places = ids.reshape(n, height, factor, width, factor) + blocks.view(n, height, 1, width, 1)
    one = scores.new_ones(1).expand(ids.numel())
    counts = scores.new_zeros(scores.numel()).scatter_add_(0, places.view(-1), one)
    counts[IGNORED_CLASS::classes] = 0.0
    return counts
