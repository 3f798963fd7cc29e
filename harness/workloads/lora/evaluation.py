"""Judge a model by rows that nobody trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it

from harness.workloads.lora.base.tunable import TunableModel
from harness.workloads.lora.data.rows import IGNORED, Row, collate

LOGITS_BYTES = 32 << 20
"""Rows are judged so many at once that logits take no more: so the peak is that of training."""


@dataclass(frozen=True)
class Score:
    """Hold what rows came to: summed loss in nats, learnt tokens, rows, rows answered exactly."""

    loss_sum: float = 0.0
    tokens: int = 0
    rows: int = 0
    exact: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.loss_sum + other.loss_sum, self.tokens + other.tokens,
            self.rows + other.rows, self.exact + other.exact,
        )  # fmt: skip

    @property
    def loss(self) -> float:
        """Return the mean loss of an answer's token in nats."""
        return self.loss_sum / self.tokens

    @property
    def exact_match(self) -> float:
        """Return the share of answers that are right to the last token."""
        return self.exact / self.rows


@torch.no_grad()
def score(model: TunableModel, rows: Sequence[Row], pad: int, size: int = 256) -> Score:
    """Return how a model answers rows.

    Greedy decoding agrees with the likeliest tokens given the right ones as long as every token so
    far was right, so one forward pass tells whether the greedy answer is exact.
    """
    found = Score()
    size = min(size, rows_at_once(model, rows))
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size]
        batch = collate(chosen, pad)
        logits = model.logits(batch).float()
        loss = F.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        ignored = batch.targets == IGNORED
        right = ((logits.argmax(-1) == batch.targets) | ignored).all(1)
        found += Score(float(loss), int((~ignored).sum()), len(chosen), int(right.sum()))
    return found


def rows_at_once(model: TunableModel, rows: Sequence[Row]) -> int:
    """Return how many rows, each as long as the longest, are judged at once; at least one."""
    longest = max((row.length for row in rows), default=1)
    return max(1, LOGITS_BYTES // (4 * longest * model.vocabulary))


@torch.no_grad()
def sequence_losses(model: TunableModel, rows: Sequence[Row], pad: int) -> list[float]:
    """Return the mean loss of each row's answer in nats per token."""
    size = rows_at_once(model, rows)
    found: list[float] = []
    for start in range(0, len(rows), size):
        batch = collate(rows[start : start + size], pad)
        logits = model.logits(batch).float()
        losses = F.cross_entropy(
            logits.transpose(1, 2), batch.targets, ignore_index=IGNORED, reduction="none"
        )
        learnt = (batch.targets != IGNORED).sum(1)
        found += [float(x) for x in losses.sum(1) / learnt]
    return found
