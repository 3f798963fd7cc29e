"""Time the server's average of 32 large models against a plain copy of the same bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.federated.server import FederatedAverage
from models.multitask.network import build
from models.multitask.registry import architecture
from tests.benchmarks.load import seconds, use_all_cores
from tests.benchmarks.table import head, row, spread

CLIENTS = 32
TURNS = 15
TASKS = "sdnkt"


def report() -> list[str]:
    """Return the table of one network: gigabytes per second, and the ratio to copying."""
    threads = use_all_cores()
    held = build(architecture("xception"), TASKS, 0).held()
    models = [held.each(Tensor.clone) for _ in range(CLIENTS)]
    into = held.each(torch.empty_like)

    def copy() -> None:
        for model in models:
            into.copy_(model)

    def average() -> None:
        server = FederatedAverage(float(CLIENTS))
        for model in models:
            server.add(model, 1.0)
        server.result()

    copy()
    average()
    pairs = [(seconds(average), seconds(copy)) for _ in range(TURNS)]
    size = held.layout.bytes
    total_gb = CLIENTS * size / 1e9
    return [
        f"xception {TASKS}, {CLIENTS} models of {size / 1e6:.1f} MB, {threads} threads",
        "",
        *head("figure", "min", "median", "max", "goal"),
        row("average, GB/s of models", *spread([total_gb / a for a, _ in pairs], ".2f"), ""),
        row("copy, GB/s of models", *spread([total_gb / c for _, c in pairs], ".2f"), ""),
        row("average over copy", *spread([a / c for a, c in pairs], ".2f"), "≤ 3"),
    ]
