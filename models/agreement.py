"""Say whether another way of executing a training step still computes what plain fp32 does.

Kernels of reduced precision have been wrong on some processors: 2×2 convolutions in bf16 (pytorch
issue 163347), stride 3 (169688). Speed tells nothing of that, so a way is compared with plain fp32
on one batch: every task's loss, and of every parameter the direction and length of its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

LEAST_COSINE = {"fp32": 0.99999, "reduced": 0.995}
"""Of the gradient of each block with that of plain fp32; TF32, bf16 and fp16 are reduced."""

LOSS_TOLERANCE = 0.01
LENGTH_TOLERANCE = 0.1
"""Relative. A cosine cannot see a gradient that was scaled."""

DIRECTIONLESS = 1e-5
"""A block whose plain gradient is a smaller share of the whole is rounding alone, as of a bias
before a batch norm, whose gradient is zero: it has no direction that a way could keep. There the
way may differ by at most a tenth of what the cosine leaves the whole gradient."""


@dataclass(frozen=True)
class Passes:
    """Hold what one batch gave: losses by task, gradients by parameter name, in fp64 on the CPU."""

    losses: Mapping[str, float]
    gradients: Mapping[str, Tensor]

    @property
    def norm(self) -> float:
        """Return the length of the whole gradient."""
        return math.sqrt(math.fsum(float(g @ g) for g in self.gradients.values()))

    @property
    def finite(self) -> bool:
        """Say whether nothing of it is infinite or no number."""
        return math.isfinite(self.norm) and all(map(math.isfinite, self.losses.values()))


def passes_of(parameters: Mapping[str, nn.Parameter], losses: Mapping[str, Tensor]) -> Passes:
    """Take copies of losses and of the gradients at hand; a parameter without one has zeros."""
    return Passes(
        {task: float(loss) for task, loss in losses.items()},
        {
            name: (torch.zeros_like(p) if p.grad is None else p.grad).detach()
            .to("cpu", torch.float64, copy=True).flatten()
            for name, p in parameters.items()
        },
    )  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """Hold how far a way agrees with plain fp32; `fault` is empty if far enough.

    `cosine` is the smallest of any block with a direction, and `block` its name; `loss` the largest
    relative difference of a task's loss. `directionless` counts blocks without a direction.
    """

    cosine: float
    block: str
    loss: float
    least_cosine: float
    directionless: int = 0
    fault: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, what is not finite as None."""
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        }


def agreement(plain: Passes, other: Passes, *, reduced: bool) -> Agreement:
    """Compare a way's passes with those of plain fp32 on the same weights and batch.

    Raises:
        ValueError: if plain fp32 itself gave no finite figures, or other tasks or blocks.
    """
    if not plain.finite:
        raise ValueError("plain fp32 gave losses or gradients that are not finite")
    if plain.losses.keys() != other.losses.keys():
        raise ValueError("tasks differ")
    if plain.gradients.keys() != other.gradients.keys():
        raise ValueError("blocks differ")
    least = LEAST_COSINE["reduced" if reduced else "fp32"]
    whole = plain.norm
    faults: list[str] = []
    loss = _losses(plain.losses, other.losses, faults)
    slack = 0.1 * math.sqrt(1.0 - least * least) * whole
    cosines: dict[str, float] = {}
    for name, gradient in plain.gradients.items():
        own = other.gradients[name]
        norm, own_norm = float(gradient.norm()), float(own.norm())
        if norm <= DIRECTIONLESS * whole:
            if not float((own - gradient).norm()) <= slack:
                faults.append(f"{name} has a gradient of {own_norm:.2g}, and should have none")
            continue
        cosine = float(gradient @ own) / (norm * own_norm) if own_norm else 0.0
        cosines[name] = cosine
        if not cosine >= least:
            faults.append(f"gradient of {name}: cosine {cosine:.6f} with plain fp32")
        elif not abs(own_norm / norm - 1.0) <= LENGTH_TOLERANCE:
            faults.append(
                f"gradient of {name}: {own_norm / norm:.3g} times as long as plain fp32's"
            )
    block = min(cosines, key=lambda name: _order(cosines[name]), default="")
    return Agreement(
        cosines.get(block, 1.0), block, loss, least, len(plain.gradients) - len(cosines),
        _worst(faults, block),
    )  # fmt: skip


def _losses(plain: Mapping[str, float], other: Mapping[str, float], faults: list[str]) -> float:
    """Return the largest relative difference, and name those that are too large."""
    largest = 0.0
    for task, loss in plain.items():
        scale = abs(loss) or 1.0
        differs = abs(other[task] - loss) / scale
        if not differs <= LOSS_TOLERANCE:
            faults.append(f"loss of {task}: {other[task]:.5g} instead of {loss:.5g}")
        largest = differs if not differs <= largest else largest
    return largest


def _order(cosine: float) -> float:
    return -math.inf if math.isnan(cosine) else cosine


def _worst(faults: Sequence[str], block: str) -> str:
    """Return one fault in words, a loss or the worst block first, and how many more there are."""
    if not faults:
        return ""
    first = next((f for f in faults if f.startswith("loss") or f" {block}:" in f), faults[0])
    more = len(faults) - 1
    return first + (f", and {more} more" if more else "")
