"""Judge what models answer on the test images, and how far the answers are from torch's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.core.errors import DamagedRunError
from harness.workloads.multitask.inference.deployment import Deployment, Model
from harness.workloads.multitask.training.batches import ClientBatches, Source
from harness.workloads.multitask.training.evaluation import MeanLoss, accumulators, split_batches
from models.multitask.losses import TaskLoss
from models.multitask.onnx_export import allowed_error

SAME_LOSS = 1e-2
"""Relative difference up to which a test loss is the one that the run found, maybe on another host
and with steps in bfloat16."""

CALIBRATION_BATCH = 8


class Predictor(Protocol):
    """Answer images, whatever with."""

    def prepare(self, images: NDArray[np.float32]) -> Any:  # noqa: ANN401
        """Return images (N, 3, H, W) as the runtime likes them."""
        ...

    def __call__(self, prepared: Any) -> Sequence[Any]:  # noqa: ANN401
        """Return one array or tensor (N, C, h, w) per task."""
        ...


@dataclass(frozen=True)
class Verdict:
    """Hold what came of one model on the test images.

    Attributes:
        losses: Test loss by task.
        measures: Measures by task and name.
        errors: By task the largest absolute difference from torch's outputs.
        largest: By task the largest magnitude of torch's outputs.
    """

    losses: Mapping[str, float]
    measures: Mapping[str, Mapping[str, float]]
    errors: Mapping[str, float]
    largest: Mapping[str, float]

    def excess(self) -> list[str]:
        """Return, per task whose difference is not allowed, that in words."""
        return [
            f"{task}: {error:.2g} where {allowed_error(self.largest[task]):.2g} is allowed"
            for task, error in self.errors.items()
            if not error <= allowed_error(self.largest[task])
        ]


class _Judge:
    """Gather what is known of one predictor, batch by batch."""

    def __init__(self, source: Source, tasks: str, loss: TaskLoss) -> None:
        self._mean = MeanLoss(loss, "test")
        self._measures = accumulators(source, tasks)
        self._errors = dict.fromkeys(tasks, 0.0)

    def add(self, task: str, prediction: Tensor, reference: Tensor, target: Tensor) -> None:
        loss = self._mean.add(task, prediction, target)
        if math.isfinite(loss):
            self._measures[task].update(prediction, target)
        error = float((prediction - reference).abs().max())
        # a comparison with NaN is false, so NaN must be kept by hand
        self._errors[task] = error if math.isnan(error) else max(self._errors[task], error)

    def verdict(self, largest: Mapping[str, float]) -> Verdict:
        measures = {task: own.values() for task, own in self._measures.items()}
        return Verdict(self._mean.result(), measures, dict(self._errors), dict(largest))


def judge_predictors(
    predictors: Mapping[str, Predictor], reference: Predictor, tasks: str, source: Source,
    loss: TaskLoss,
) -> dict[str, Verdict]:  # fmt: skip
    """Return what came of each predictor on all test images, by its name.

    Args:
        predictors: What is judged; each answers the tasks in their order.
        reference: Torch in single precision, which answers are compared with.
        tasks: Letters of the tasks.
        source: Data with test images.
        loss: What the run learnt from.
    """
    judges = {name: _Judge(source, tasks, loss) for name in predictors}
    largest = dict.fromkeys(tasks, 0.0)
    for images, targets in split_batches(source, "test", tasks):
        array = np.ascontiguousarray(images.numpy())
        expected = [_tensor(out) for out in reference(reference.prepare(array))]
        for task, out in zip(tasks, expected, strict=True):
            largest[task] = max(largest[task], float(out.abs().max()))
        for name, predictor in predictors.items():
            outputs = predictor(predictor.prepare(array))
            for task, out, right in zip(tasks, outputs, expected, strict=True):
                judges[name].add(task, _tensor(out), right, targets[task])
    return {name: judge.verdict(largest) for name, judge in judges.items()}


def _tensor(output: Any) -> Tensor:  # noqa: ANN401
    return output if isinstance(output, Tensor) else torch.from_numpy(output)


def check_losses(deployment: Deployment, model: Model, verdict: Verdict) -> None:
    """Refuse weights that give other test losses than the run says.

    Raises:
        DamagedRunError: naming task and losses.
    """
    for task, expected in model.losses.items():
        found = verdict.losses[task]
        if not math.isclose(found, expected, rel_tol=SAME_LOSS, abs_tol=SAME_LOSS):
            raise DamagedRunError(
                f"{deployment.cell}: {model.weights.name} has a test loss of {found:.4f} on task"
                f" {task}, the run says {expected:.4f}: these are not the weights it tested",
                "Restore checkpoints/ from a copy of the run.",
            )


def calibration_batches(source: Source, images: int) -> list[NDArray[np.float32]]:
    """Return training images to find int8 scales on, from all clients in turn.

    Images are taken evenly over what each client has; tests are never looked at.
    """
    clients = source.count("train")
    shares = [images // clients + (client < images % clients) for client in range(clients)]
    picked = list(_picked(source, shares))
    whole = np.concatenate(picked) if picked else np.zeros((0, 3, 1, 1), np.float32)
    return [
        whole[start : start + CALIBRATION_BATCH]
        for start in range(0, len(whole), CALIBRATION_BATCH)
    ]


def _picked(source: Source, shares: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    for client, share in enumerate(shares):
        length = source.length("train", client)
        rows = np.unique(np.linspace(0, length - 1, min(share, length)).astype(np.int64))
        if len(rows):
            yield ClientBatches(source, "train", client, "").read(rows)[0].numpy()


def test_images(source: Source, most: int) -> NDArray[np.float32]:
    """Return up to so many test images, (n, 3, H, W) in [0, 1], to ask queries with."""
    found: list[NDArray[np.float32]] = []
    left = most
    for images, _ in split_batches(source, "test", ""):
        found.append(images[:left].numpy())
        left -= len(found[-1])
        if left <= 0:
            break
    return np.ascontiguousarray(np.concatenate(found))
