"""Rows are judged in pieces that fit memory, and come to the same as one by one."""

import itertools
import math

import pytest
import torch

from harness.workloads.lora import evaluation
from harness.workloads.lora.data.rows import Row
from harness.workloads.lora.evaluation import score, sequence_losses

VOCABULARY = 12


class Table:
    """A model whose next token depends on the last alone; notes the logits it was asked for."""

    vocabulary = VOCABULARY

    def __init__(self):
        self.rows = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(3))
        self.asked = []

    def logits(self, batch):
        found = self.rows[batch.inputs]
        self.asked.append(4 * found.numel())
        return found


ROWS = [Row(tuple(range(1, 2 + i % 5)), tuple((i * k) % VOCABULARY for k in range(1, 3 + i % 3)))
        for i in range(40)]  # fmt: skip


def by_hand(table, row):
    """Return the summed loss of an answer and whether greedy decoding gives it."""
    ids = row.prompt + row.answer
    pairs = list(itertools.pairwise(ids))[len(row.prompt) - 1 :]
    logs = torch.log_softmax(table.rows.double(), 1)
    loss = -math.fsum(float(logs[a, b]) for a, b in pairs)
    return loss, all(int(table.rows[a].argmax()) == b for a, b in pairs)


@pytest.mark.parametrize("limit", [1, 4 * 8 * VOCABULARY * 7, 1 << 25])
def test_pieces_keep_to_the_limit_and_change_no_score(limit, monkeypatch):
    """One row at a time, seven rows of the longest, or all at once."""
    monkeypatch.setattr(evaluation, "LOGITS_BYTES", limit)
    table = Table()
    found, losses = score(table, ROWS, 0), sequence_losses(table, ROWS, 0)
    longest = max(row.length for row in ROWS)
    assert max(table.asked) <= max(limit, 4 * longest * VOCABULARY)
    wanted = [by_hand(table, row) for row in ROWS]
    tokens = sum(len(row.answer) for row in ROWS)
    assert found.loss == pytest.approx(math.fsum(loss for loss, _ in wanted) / tokens, rel=1e-5)
    assert found.exact_match == sum(right for _, right in wanted) / len(ROWS)
    means = [loss / len(row.answer) for (loss, _), row in zip(wanted, ROWS, strict=True)]
    assert losses == pytest.approx(means, rel=1e-5)
