"""Turn stored arrays into batches of tensors, reading only the labels a job needs."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.workloads.multitask.data.split import Split
from harness.workloads.multitask.training.feeding import (
    Batch,
    Feed,
    GpuData,
    Stored,
    placed,
)
from models.multitask.tasks import TASKS

__all__ = ["PROCESSOR", "Augment", "Batch", "ClientBatches", "Source", "Split"]

Augment = Literal["none", "flip"]

PROCESSOR = torch.device("cpu")

AT_ONCE = 64
"""Images that are read and converted together; no more than a batch where that is larger."""

AT_ONCE_BYTES = 32 << 20
"""Of tensors that a GPU makes together, where two such groups are there at a time."""

MASK = "mask"
GEOMETRIC = "dnerc"
"""Tasks whose labels come from a scan and are invalid where it has holes; the others come from
the picture, or have a class id for pixels without label."""


class Source(Protocol):
    """Provide the stored arrays of each client; a `Store` is the real one."""

    @property
    def normalisation(self) -> Mapping[str, tuple[float, float]]:
        """Return (offset, scale) by label: the target is (stored − offset) / scale."""
        ...

    @property
    def masked(self) -> bool:
        """Say whether pixels can be without label: NaN in the target, id 0 among classes."""
        ...

    @property
    def depth_unit_m(self) -> float:
        """Return how many metres one stored unit of depth is."""
        ...

    def split(self, split: Split, client: int) -> Mapping[str, NDArray[np.generic]]:
        """Return arrays of shape (images, H, W[, C]) by label name; `mask` is 1 where valid."""
        ...

    def length(self, split: Split, client: int) -> int:
        """Return the number of images of one client in a split."""
        ...

    def count(self, split: Split) -> int:
        """Return the number of clients (or buildings) in a split."""
        ...


class ClientBatches:
    """Read batches of one client in any order, and put them where the network is."""

    def __init__(
        self,
        source: Source,
        split: Split,
        client: int,
        tasks: str,
        device: torch.device = PROCESSOR,
    ) -> None:
        self._arrays = source.split(split, client)
        self._normalisation = source.normalisation
        self._tasks = tasks
        self._device = device
        self._masked = source.masked and MASK in self._arrays
        self.length = source.length(split, client)
        self._labels = labels_of(self._arrays, tasks, masked=source.masked)
        self._feed: Feed | None = None
        if isinstance(source, GpuData):
            self._feed = source.feed(split, client, self._labels)

    def read(self, rows: NDArray[np.int64]) -> Batch:
        """Return images (N, 3, H, W) in [0, 1] and the target of every task for some rows.

        Targets are NaN where a geometric label is invalid.
        """
        # a map's own indexing takes longer, and so does indexing for what `take` does
        taken = {k: np.asarray(self._arrays[k]).take(rows, 0) for k in self._labels}
        stored = {k: torch.from_numpy(_known(array)) for k, array in taken.items()}
        images, targets = self._converted(stored)
        return images.to(self._device), {t: v.to(self._device) for t, v in targets.items()}

    def _converted(self, stored: Stored) -> Batch:
        """Return images and targets of rows as they are stored, where those are."""
        images = stored["rgb"].permute(0, 3, 1, 2) / _divisor(255.0, stored["rgb"].device)
        targets = {task: self._target(task, stored[TASKS[task].label]) for task in self._tasks}
        masked = [task for task in self._tasks if task in GEOMETRIC] if self._masked else []
        if masked:
            invalid = stored[MASK].logical_not().unsqueeze(1)  # `eq` takes twenty times as long
            for task in masked:
                targets[task].masked_fill_(invalid, torch.nan)
        return images, targets

    def _target(self, task: str, stored: Tensor) -> Tensor:
        if TASKS[task].loss == "cross-entropy":
            return self._numbers(task, stored, torch.int64)
        offset, scale = self._normalisation[task]
        numbers = self._numbers(task, stored, torch.float32)
        values = numbers.sub_(offset).div_(_divisor(scale, numbers.device))
        return values.unsqueeze(1) if values.dim() == 3 else values.permute(0, 3, 1, 2)

    def _numbers(self, task: str, stored: Tensor, kind: torch.dtype) -> Tensor:
        """Return rows of a label, which nothing else reads, in another type."""
        if stored.dtype == torch.int16 and self._arrays[TASKS[task].label].dtype == np.uint16:
            return stored.to(torch.int32).bitwise_and_(0xFFFF).to(kind)
        return stored.to(kind)

    def epoch(
        self,
        batch_size: int,
        order: np.random.Generator,
        *,
        rest: bool = False,
        augment: Augment = "none",
    ) -> Iterator[Batch]:
        """Yield every full batch once in random order; a smaller client is one batch.

        The rest that fills no batch is left out unless asked for, as batch norm cannot learn from
        one or two images. Rows are sorted inside a batch so that memory-mapped pages are read
        forwards. With `augment`, each image is mirrored or not; the same order stream decides.
        """
        size = min(batch_size, self.length)
        shuffled = order.permutation(self.length)
        starts = range(0, self.length if rest else self.length - size + 1, size)
        for batch in self._several([np.sort(shuffled[at : at + size]) for at in starts]):
            yield mirrored(batch, order.random(len(batch[0])) < 0.5) if augment == "flip" else batch

    def _several(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[Batch]:
        """Yield the batches of these rows, read `AT_ONCE` images at a time.

        Converting a few small images costs calls, not bytes: taken together they cost six tenths.
        """
        size = max(len(batches[0]), 1)
        together = max(self._at_once() // size, 1)
        groups = [batches[i : i + together] for i in range(0, len(batches), together)]
        for rows, (images, targets) in zip(groups, self._reads(map(_joined, groups)), strict=True):
            start = 0
            for some in rows:
                end = start + len(some)
                yield images[start:end], {task: t[start:end] for task, t in targets.items()}
                start = end

    def _at_once(self) -> int:
        """Return how many images are converted together; of what fills a GPU's memory fewer."""
        if self._feed is None:
            return AT_ONCE
        pixels = math.prod(self._arrays["rgb"].shape[1:3])
        return min(AT_ONCE, AT_ONCE_BYTES // max(image_bytes(self._tasks, pixels), 1))

    def _reads(self, rows: Iterable[NDArray[np.int64]]) -> Iterator[Batch]:
        """Yield these groups of rows, on a GPU as its feed brings them."""
        if self._feed is None:
            yield from map(self.read, rows)
        else:
            yield from self._feed.batches(rows, self._converted)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield every image once, in stored order, the last batch as small as it is."""
        starts = range(0, self.length, batch_size)
        yield from self._reads(np.arange(i, min(i + batch_size, self.length)) for i in starts)


def mirrored(batch: Batch, chosen: NDArray[np.bool_]) -> Batch:
    """Return a batch with the chosen images, and their targets, left and right exchanged.

    The first channel of normals points to the right and changes sign.
    """
    images, targets = batch
    turn = placed(torch.from_numpy(chosen), batch[0].device)
    flipped = {task: _mirrored(target, turn) for task, target in targets.items()}
    if "n" in flipped:
        sign = 1.0 - 2.0 * turn.to(torch.float32)
        flipped["n"][:, 0] *= sign.view(-1, 1, 1)
    return _mirrored(images, turn), flipped


def _mirrored(values: Tensor, turn: Tensor) -> Tensor:
    return torch.where(turn.view(-1, *[1] * (values.dim() - 1)), values.flip(-1), values)


def labels_of(stored: Container[str], tasks: str, *, masked: bool) -> list[str]:
    """Return those of the stored labels that batches of these tasks are made of."""
    hidden = masked and MASK in stored and any(task in GEOMETRIC for task in tasks)
    return list(
        dict.fromkeys(["rgb", *(TASKS[t].label for t in tasks), *([MASK] if hidden else [])])
    )


def image_bytes(tasks: str, pixels: int) -> int:
    """Return the bytes that an image and its targets take in a batch."""
    numbers = 4 * (3 + sum(TASKS[t].channels for t in tasks if TASKS[t].loss == "l1"))
    return pixels * (numbers + 8 * sum(TASKS[t].loss == "cross-entropy" for t in tasks))


def _known(stored: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return numbers in a type that every torch knows; of 16 bits without sign all fit in fp32."""
    return stored.astype(np.float32) if stored.dtype == np.uint16 else stored


def _joined(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _divisor(by: float, device: torch.device) -> Tensor | float:
    """Return a number to divide by such that quotients are alike everywhere.

    By a plain number a GPU multiplies with the reciprocal, which rounds otherwise.
    """
    return by if device.type == "cpu" else torch.full((), by, device=device)
