"""Time the server's average of 32 large models against a plain copy of the same bytes."""

from __future__ import annotations

import torch

from harness.federated.server import FederatedAverage
from models.network import build
from models.registry import architecture
from tests.benchmarks.load import seconds, use_all_cores
from tests.benchmarks.table import head, row, spread

CLIENTS = 32
TURNS = 15
TASKS = "sdnkt"


def report() -> list[str]:
    """Return the table of one network: gigabytes per second, and the ratio to copying."""
    threads = use_all_cores()
    models = [
        {k: v.clone() for k, v in build(architecture("xception"), TASKS, 0).state_dict().items()}
        for _ in range(CLIENTS)
    ]
    sizes = sum(t.numel() * t.element_size() for t in models[0].values())
    into = {name: torch.empty_like(tensor) for name, tensor in models[0].items()}

    def copy() -> None:
        for model in models:
            for name, tensor in model.items():
                into[name].copy_(tensor)

    def average() -> None:
        server = FederatedAverage(float(CLIENTS))
        for model in models:
            server.add(model, 1.0)
        server.result(models[0])

    copy()
    average()
    pairs = [(seconds(average), seconds(copy)) for _ in range(TURNS)]
    total_gb = CLIENTS * sizes / 1e9
    return [
        f"xception {TASKS}, {CLIENTS} models of {sizes / 1e6:.1f} MB, {threads} threads",
        "",
        *head("figure", "min", "median", "max", "goal"),
        row("average, GB/s of models", *spread([total_gb / a for a, _ in pairs], ".2f"), ""),
        row("copy, GB/s of models", *spread([total_gb / c for _, c in pairs], ".2f"), ""),
        row("average over copy", *spread([a / c for a, c in pairs], ".2f"), "≤ 3"),
    ]
