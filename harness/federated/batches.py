"""Turn stored arrays into batches of tensors, reading only the labels a job needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.tasks import TASKS

Split = Literal["train", "test", "test_unseen"]
Batch = tuple[Tensor, dict[str, Tensor]]


class Source(Protocol):
    """Provide the stored arrays of each client; `harness.data` has the real ones."""

    @property
    def normalisation(self) -> Mapping[str, tuple[float, float]]:
        """Return (offset, scale) by label: the target is (stored − offset) / scale."""
        ...

    def split(self, split: Split, client: int) -> Mapping[str, NDArray[np.generic]]:
        """Return arrays of shape (images, H, W[, C]) by label name."""
        ...

    def length(self, split: Split, client: int) -> int:
        """Return the number of images of one client in a split."""
        ...

    def count(self, split: Split) -> int:
        """Return the number of clients (or buildings) in a split."""
        ...


class ClientBatches:
    """Read batches of one client in any order."""

    def __init__(self, source: Source, split: Split, client: int, tasks: str) -> None:
        self._arrays = source.split(split, client)
        self._normalisation = source.normalisation
        self._tasks = tasks
        self.length = source.length(split, client)

    def read(self, rows: NDArray[np.int64]) -> Batch:
        """Return images (N, 3, H, W) in [0, 1] and the target of every task for some rows."""
        images = _channels_first(self._arrays["rgb"][rows]).to(torch.float32).div_(255.0)
        return images, {task: self._target(task, rows) for task in self._tasks}

    def _target(self, task: str, rows: NDArray[np.int64]) -> Tensor:
        stored = self._arrays[TASKS[task].label][rows]
        if TASKS[task].loss == "cross-entropy":
            return torch.from_numpy(stored.astype(np.int64))
        offset, scale = self._normalisation[task]
        values = torch.from_numpy(stored.astype(np.float32)).sub_(offset).div_(scale)
        return values.unsqueeze(1) if values.dim() == 3 else values.permute(0, 3, 1, 2)

    def epoch(self, batch_size: int, order: np.random.Generator) -> Iterator[Batch]:
        """Yield every full batch once in random order; a smaller client is one batch.

        The rest that fills no batch is left out, as batch norm cannot learn from one or two images.
        Rows are sorted inside a batch so that memory-mapped pages are read forwards.
        """
        size = min(batch_size, self.length)
        shuffled = order.permutation(self.length)
        for start in range(0, self.length - size + 1, size):
            yield self.read(np.sort(shuffled[start : start + size]))

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield every image once, in stored order, the last batch as small as it is."""
        for start in range(0, self.length, batch_size):
            yield self.read(np.arange(start, min(start + batch_size, self.length)))


def _channels_first(stored: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(stored)).permute(0, 3, 1, 2)
