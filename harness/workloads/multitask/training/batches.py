"""Turn stored arrays into batches of tensors, reading only the labels a job needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.workloads.multitask.data.split import Split
from models.multitask.tasks import TASKS

__all__ = ["PROCESSOR", "Augment", "Batch", "ClientBatches", "Source", "Split"]

Batch = tuple[Tensor, dict[str, Tensor]]
Augment = Literal["none", "flip"]

PROCESSOR = torch.device("cpu")

AT_ONCE = 64
"""Images that are read and converted together; no more than a batch where that is larger."""

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

    def read(self, rows: NDArray[np.int64]) -> Batch:
        """Return images (N, 3, H, W) in [0, 1] and the target of every task for some rows.

        Targets are NaN where a geometric label is invalid.
        """
        images = _channels_first(self._stored("rgb", rows)) / 255.0
        targets = {task: self._target(task, rows) for task in self._tasks}
        masked = [task for task in self._tasks if task in GEOMETRIC] if self._masked else []
        if masked:
            invalid = torch.from_numpy(self._stored(MASK, rows) == 0).unsqueeze(1)
            for task in masked:
                targets[task].masked_fill_(invalid, torch.nan)
        return images.to(self._device), {t: v.to(self._device) for t, v in targets.items()}

    def _stored(self, label: str, rows: NDArray[np.int64]) -> NDArray[np.generic]:
        # a map's own indexing takes longer, and so does indexing for what `take` does
        return np.asarray(self._arrays[label]).take(rows, 0)

    def _target(self, task: str, rows: NDArray[np.int64]) -> Tensor:
        stored = self._stored(TASKS[task].label, rows)
        if TASKS[task].loss == "cross-entropy":
            return torch.from_numpy(stored.astype(np.int64))
        offset, scale = self._normalisation[task]
        values = torch.from_numpy(stored.astype(np.float32)).sub_(offset).div_(scale)
        return values.unsqueeze(1) if values.dim() == 3 else values.permute(0, 3, 1, 2)

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
        together = max(AT_ONCE // size, 1)
        for first in range(0, len(batches), together):
            rows = batches[first : first + together]
            if len(rows) == 1:
                yield self.read(rows[0])
                continue
            images, targets = self.read(np.concatenate(rows))
            start = 0
            for some in rows:
                end = start + len(some)
                yield images[start:end], {task: t[start:end] for task, t in targets.items()}
                start = end

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield every image once, in stored order, the last batch as small as it is."""
        for start in range(0, self.length, batch_size):
            yield self.read(np.arange(start, min(start + batch_size, self.length)))


def mirrored(batch: Batch, chosen: NDArray[np.bool_]) -> Batch:
    """Return a batch with the chosen images, and their targets, left and right exchanged.

    The first channel of normals points to the right and changes sign.
    """
    images, targets = batch
    turn = torch.from_numpy(chosen).to(batch[0].device)
    flipped = {task: _mirrored(target, turn) for task, target in targets.items()}
    if "n" in flipped:
        sign = 1.0 - 2.0 * turn.to(torch.float32)
        flipped["n"][:, 0] *= sign.view(-1, 1, 1)
    return _mirrored(images, turn), flipped


def _mirrored(values: Tensor, turn: Tensor) -> Tensor:
    return torch.where(turn.view(-1, *[1] * (values.dim() - 1)), values.flip(-1), values)


def _channels_first(stored: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(stored)).permute(0, 3, 1, 2)
