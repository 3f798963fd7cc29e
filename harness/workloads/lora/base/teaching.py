"""Teach the embedded model what it knows: sentences, and ten instructions on letters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import nn

from harness.federated.random_streams import random_stream
from harness.workloads.lora.data.letters import PAD, TAUGHT, VOCABULARY, sentence
from harness.workloads.lora.data.rows import IGNORED, Row, collate
from models.lora.decoder import DecoderNet, DecoderShape

SENTENCES = 8
"""One row in so many is a sentence."""


def teach(steps: int, rows: int, rate: float, seed: int, say: Callable[[str], None]) -> DecoderNet:
    """Return the model after so many steps of so many rows, on one thread.

    AdamW; the rate warms up over a tenth of the steps and falls to zero; answers alone are learnt.
    """
    torch.set_num_threads(1)
    net = DecoderNet(DecoderShape(len(VOCABULARY)), seed)
    random = random_stream(seed, "teaching")
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.1
    )
    for step in range(steps):
        batch = collate(_lesson(rows, random), PAD)
        logits = net(batch.inputs)
        loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            say(f"step {step + 1} of {steps}: loss {loss.item():.3f}")
    return net


def _lesson(rows: int, random: np.random.Generator) -> list[Row]:
    sentences = rows // SENTENCES
    asked = random.integers(0, len(TAUGHT), rows - sentences)
    return [*(sentence(random) for _ in range(sentences)), *(TAUGHT[i].row(random) for i in asked)]
