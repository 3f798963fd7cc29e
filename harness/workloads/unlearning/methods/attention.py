"""Combine shards by attention, as RecEraser does (Chen et al., WWW 2022, section 3.3).

Vectors of shards are frozen: h_s = W_s e_s + b_s, α = softmax_s(vᵀ ReLU(A h_s + b)), e = Σ α_s h_s,
with A, b and v of users and of items apart. Trained with the BPR loss over all pairs that remain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from harness.federated.random_streams import random_stream
from harness.workloads.unlearning.data.interactions import Pairs
from harness.workloads.unlearning.training import shuffled
from models.unlearning.recommenders import Factors

ROUNDS = 3
BATCH = 1024
RATE = 5e-3
DECAY = 1e-5
"""Of the maps W_s."""

Weights = dict[str, Tensor]


def combine(pairs: Pairs, shards: Sequence[Factors], seed: int) -> tuple[Weights, Factors, int]:
    """Train the attention; return its weights, the combined vectors, and the steps it took."""
    random = random_stream(seed, "attention")
    users, items = (torch.stack(x, dim=1) for x in
                    ([f.users for f in shards], [f.items for f in shards]))  # fmt: skip
    weights = _begin(len(shards), users.shape[2], random)
    for tensor in weights.values():
        tensor.requires_grad_()
    optimizer = torch.optim.Adam(list(weights.values()), lr=RATE)
    steps = 0
    for _ in range(ROUNDS if len(pairs) else 0):
        for user, liked, drawn in torch.split(shuffled(pairs, random), BATCH, dim=1):
            own = merged(users[user], weights, "user")
            difference = merged(items[liked], weights, "item") - merged(
                items[drawn], weights, "item"
            )
            loss = -logsigmoid((own * difference).sum(1)).mean()
            loss = loss + DECAY * weights["map"].square().sum()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            steps += 1
    found = {name: tensor.detach() for name, tensor in weights.items()}
    with torch.no_grad():
        whole = Factors(merged(users, found, "user"), merged(items, found, "item"))
    return found, whole, steps


def _begin(shards: int, width: int, random: np.random.Generator) -> Weights:
    """Return maps that change nothing, and small random attention."""
    hidden = max(1, width // 2)

    def drawn(*shape: int) -> Tensor:
        values = random.standard_normal(shape, dtype=np.float32) / np.float32(width**0.5)
        return torch.from_numpy(values)

    found = {
        "map": torch.eye(width).repeat(shards, 1, 1),
        "shift": torch.zeros(shards, width),
    }
    for side in ("user", "item"):
        found[f"{side}-hidden"] = drawn(width, hidden)
        found[f"{side}-bias"] = torch.zeros(hidden)
        found[f"{side}-score"] = 0.1 * drawn(hidden, 1)
    return found


def merged(vectors: Tensor, weights: Weights, side: str) -> Tensor:
    """Return the vectors [n, shards, width] combined to [n, width]."""
    mapped = torch.einsum("nsk,skd->nsd", vectors, weights["map"]) + weights["shift"]
    hidden = torch.relu(mapped @ weights[f"{side}-hidden"] + weights[f"{side}-bias"])
    share = torch.softmax(hidden @ weights[f"{side}-score"], dim=1)
    return (share * mapped).sum(1)
