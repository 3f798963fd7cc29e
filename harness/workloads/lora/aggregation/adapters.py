"""Hold low-rank adapters by layer, and what they come to; nothing here knows a model.

An adapter of a layer of m outputs and n inputs is A of r×n and B of m×r; with the scale s its
update of the weight is s·B·A (Hu et al., LoRA, ICLR 2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.core.errors import UsageError

Shapes = Mapping[str, tuple[int, int]]
"""Outputs m and inputs n of every layer that wears adapters."""


class LowRank(NamedTuple):
    """Hold A of r×n and B of m×r."""

    a: Tensor
    b: Tensor

    @property
    def rank(self) -> int:
        """Return r."""
        return int(self.a.shape[0])


Adapter = Mapping[str, LowRank]


def fresh(shapes: Shapes, rank: int, random: np.random.Generator) -> Adapter:
    """Return an adapter that changes nothing yet: A uniform in ±1/√n, B zero, as peft begins.

    Raises:
        UsageError: if the rank does not fit a layer, naming the layer and the largest that does.
    """
    check_rank(shapes, rank)
    found = {}
    for name, (m, n) in shapes.items():
        drawn = random.uniform(-(n**-0.5), n**-0.5, (rank, n)).astype(np.float32)
        found[name] = LowRank(torch.from_numpy(drawn), torch.zeros(m, rank))
    return found


def check_rank(shapes: Shapes, rank: int) -> None:
    """Do nothing if adapters of a rank fit every layer.

    Raises:
        UsageError: naming the layer that is too small.
    """
    for name, (m, n) in shapes.items():
        if not 1 <= rank <= min(m, n):
            raise UsageError(
                f"rank {rank} does not fit layer {name} of {m}×{n}",
                f"--ranks may be 1 to {largest_rank(shapes)} here.",
            )


def largest_rank(shapes: Shapes) -> int:
    """Return the largest rank that fits every layer."""
    return min(min(shape) for shape in shapes.values())


def rank_of(adapter: Adapter) -> int:
    """Return the rank, which is the same in all layers."""
    return next(iter(adapter.values())).rank


def cut(adapter: Adapter, rank: int) -> Adapter:
    """Return the first rows of A and columns of B, as copies."""
    return {name: LowRank(f.a[:rank].clone(), f.b[:, :rank].clone()) for name, f in adapter.items()}


def norm(adapter: Adapter) -> float:
    """Return ‖B·A‖ (Frobenius, over all layers), from Gram matrices: no product is built."""
    total = 0.0
    for factors in adapter.values():
        a, b = factors.a.double(), factors.b.double()
        total += float(((b.T @ b) * (a @ a.T)).sum())
    return math.sqrt(max(0.0, total))


def numbers(shapes: Shapes, rank: int, *, only_b: bool = False) -> int:
    """Return how many numbers an adapter has."""
    return rank * sum(m if only_b else m + n for m, n in shapes.values())


def smaller_numbers(shapes: Shapes, rank: int) -> int:
    """Return how many numbers travel for a stack of a rank: by layer, factors or dense product.

    A dense product has fewer where R > m·n/(m+n).
    """
    return sum(min(rank * (m + n), m * n) for m, n in shapes.values())


def update_error(
    used: Iterable[tuple[float, Mapping[str, Tensor], Adapter]],
    exact: Sequence[tuple[float, Adapter]],
    names: Iterable[str],
) -> float:
    """Return ‖used − exact‖ / ‖exact‖ (Frobenius over all layers), one layer at a time in fp64.

    `used` are dense parts (empty where there are none) and adapters with their factors, `exact` the
    weighted products Σ w·B·A. 0 if the exact update is 0.
    """
    parts = list(used)
    wrong = right = 0.0
    for name in names:
        wanted = sum(w * (x[name].b.double() @ x[name].a.double()) for w, x in exact)
        got = torch.zeros_like(torch.as_tensor(wanted))
        for weight, dense, adapter in parts:
            if name in dense:
                got += weight * dense[name].double()
            if name in adapter:
                got += weight * (adapter[name].b.double() @ adapter[name].a.double())
        wrong += float((got - wanted).square().sum())
        right += float(torch.as_tensor(wanted).square().sum())
    return math.sqrt(wrong / right) if right else 0.0


def to_tensors(adapter: Adapter, prefix: str = "") -> dict[str, Tensor]:
    """Return the factors by name, as they travel and are kept."""
    found = {}
    for name, (a, b) in adapter.items():
        found[f"{prefix}a/{name}"], found[f"{prefix}b/{name}"] = a, b
    return found


def from_tensors(tensors: Mapping[str, Tensor], prefix: str = "") -> Adapter:
    """Return the adapter that `to_tensors` gave, in the order of its tensors; empty if none."""
    start = f"{prefix}a/"
    return {
        name[len(start) :]: LowRank(tensor, tensors[f"{prefix}b/{name[len(start) :]}"])
        for name, tensor in tensors.items()
        if name.startswith(start)
    }


def dense(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return dense updates of layers by name."""
    return {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("delta/")}


def size_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of tensors."""
    return sum(t.numel() * t.element_size() for t in tensors)
