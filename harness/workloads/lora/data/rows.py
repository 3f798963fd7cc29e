"""Hold rows of prompts and answers as token ids, and put them into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

IGNORED = -100
"""Target of a token that is not learnt, as torch's cross entropy leaves it out."""


@dataclass(frozen=True)
class Row:
    """Hold one instruction: the ids of its prompt, of its answer with its end, and its kind."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    kind: str = ""

    @property
    def length(self) -> int:
        """Return its tokens."""
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True)
class Batch:
    """Hold inputs and targets of rows × tokens.

    `attended` is 1 for what is no padding, which stands behind every row. `tokens` are those
    without padding, `padded` those beside.
    """

    inputs: Tensor
    targets: Tensor
    attended: Tensor
    tokens: int

    @property
    def padded(self) -> int:
        """Return how many tokens only fill the batch."""
        return self.inputs.numel() - self.tokens


def collate(rows: Sequence[Row], pad: int, *, whole: bool = False) -> Batch:
    """Return a batch in which each token predicts the next.

    Prompts are masked from the loss, unless the `whole` row is learnt.
    """
    width = max(row.length for row in rows) - 1
    inputs = np.full((len(rows), width), pad, dtype=np.int64)
    targets = np.full((len(rows), width), IGNORED, dtype=np.int64)
    attended = np.zeros((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows):
        ids = row.prompt + row.answer
        inputs[place, : len(ids) - 1] = ids[:-1]
        attended[place, : len(ids) - 1] = 1
        first = 1 if whole else max(1, len(row.prompt))
        targets[place, first - 1 : len(ids) - 1] = ids[first:]
    tokens = int(attended.sum())
    made = torch.from_numpy
    return Batch(made(inputs), made(targets), made(attended), tokens)


def batches(rows: Sequence[Row], size: int, order: np.random.Generator) -> Iterator[Sequence[Row]]:
    """Yield the rows of one epoch in batches; a last one below half a batch is left out.

    A client smaller than that is one batch.
    """
    drawn = order.permutation(len(rows))
    starts = range(0, max(1, len(rows) - size // 2), size)
    for start in starts:
        yield [rows[i] for i in drawn[start : start + size]]


def batch_sizes(rows: int, size: int) -> list[int]:
    """Return the sizes of the batches of one epoch."""
    starts = range(0, max(1, rows - size // 2), size)
    return [min(size, rows - start) for start in starts]
