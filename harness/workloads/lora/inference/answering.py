"""Answer prompts one after another, token by token, as a device does, and time that."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from harness.workloads.lora.base.tunable import TunableModel
from harness.workloads.lora.data.rows import Batch, Row

Answering = Callable[[Sequence[int], int], list[int]]
"""Gives the ids of an answer to those of a prompt: at most so many."""


@dataclass(frozen=True)
class Window:
    """Hold what came of a window of answering."""

    queries: int
    tokens: int
    time_s: float
    latency_p50_s: float


@torch.inference_mode()
def greedy(model: TunableModel, prompt: Sequence[int], most: int, end: int) -> list[int]:
    """Return the likeliest answer token by token, the whole row read anew for each."""
    ids = list(prompt)
    for _ in range(most):
        row = torch.tensor([ids])
        logits = model.logits(Batch(row, row, torch.ones_like(row), row.numel()))
        ids.append(int(logits[0, -1].argmax()))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


def answer_for(
    answer: Answering, rows: Sequence[Row], most: int, least_s: float, clock: Callable[[], float]
) -> Window:
    """Answer prompts in turn until the window is long enough."""
    latencies: list[float] = []
    tokens = 0
    gc.collect()
    began = clock()
    while not latencies or clock() - began < least_s:
        start = clock()
        tokens += len(answer(rows[len(latencies) % len(rows)].prompt, most))
        latencies.append(clock() - start)
    return Window(len(latencies), tokens, clock() - began, median(latencies))
