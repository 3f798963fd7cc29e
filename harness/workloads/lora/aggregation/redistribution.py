"""Give every client the best adapter of its rank for a dense update (FlexLoRA, NeurIPS 2024)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.workloads.lora.aggregation.adapters import Adapter, LowRank


def decomposed(update: Mapping[str, Tensor], rank: int, scale: float) -> Adapter:
    """Return adapters so that s·B·A is the nearest to a dense update among those of the rank.

    Singular values are shared by A and B as square roots; smaller ranks are their first rows. What
    the update lacks in rank stays zero.
    """
    found = {}
    for name, dense in update.items():
        u, values, v = torch.linalg.svd(dense.double() / scale, full_matrices=False)
        root = values[:rank].sqrt()
        a = (root[:, None] * v[:rank]).to(dense.dtype).contiguous()
        b = (u[:, :rank] * root).to(dense.dtype).contiguous()
        found[name] = LowRank(a, b)
    return found
