"""Let momentum survive the round: velocities are averaged and travel with the model.

Each client begins with the mean velocity and sends its own back beside its model; both are averaged
with the same weights (Yu, Jin and Yang, "On the Linear Speedup Analysis of Communication Efficient
Momentum SGD", ICML 2019). A velocity is the optimizer's: the decaying sum of gradients, without the
learning rate, so that it stays right where the rate changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

VELOCITY = "velocity."
"""Prefix of a velocity in the state of a job, in what clients are sent and in what they send."""


def velocities(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the velocities among tensors by the names of the parameters that they move."""
    return {k.removeprefix(VELOCITY): t for k, t in tensors.items() if k.startswith(VELOCITY)}


def named(moving: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return velocities by the names that they travel under."""
    return {VELOCITY + name: tensor for name, tensor in moving.items()}


def without(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the model alone."""
    return {name: t for name, t in tensors.items() if not name.startswith(VELOCITY)}


def at_rest(model: Mapping[str, Tensor], parameters: Collection[str]) -> dict[str, Tensor]:
    """Return velocities of zeros."""
    import torch  # noqa: PLC0415 - a plan knows the names alone

    return named({name: torch.zeros_like(model[name]) for name in parameters})
