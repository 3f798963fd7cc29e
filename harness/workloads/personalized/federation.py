"""Hold what all jobs of a cell share, and name the tensors of states.

A state has `client.3.model.…`, client 3's own network as it trained it last; `client.3.teacher.…`
with `client.3.path`, the teacher made for it; `client.3.rounds`, how often it trained; and whatever
else a method keeps of a client or, as `shared.…`, for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.federated.random_streams import random_stream
from harness.workloads.personalized.data.clubs import Club
from models.personalized.blocks import ChainNet, build
from models.personalized.families import shapes
from models.personalized.shapes import BlockShape

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainingSettings:
    """Say how clients train: epochs of a round, images of a step, Adam's rate."""

    epochs: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class ClubSetup:
    """Hold data and networks of a cell's federation.

    Attributes:
        club: data of the seed.
        families: of each client.
        per_round: clients that train in a round.
        training: how.
        seed: the cell's.
    """

    club: Club
    families: tuple[str, ...]
    per_round: int
    training: TrainingSettings
    seed: int

    def shapes(self, family: str) -> tuple[BlockShape, ...]:
        """Return the blocks of a family for these images."""
        return shapes(family, self.club.shape, self.club.classes)

    def fresh(self, of: tuple[BlockShape, ...], name: str) -> ChainNet:
        """Return a network with its weights before training, which seed and name decide."""
        seed = int(random_stream(self.seed, "start", name).integers(2**63 - 1))
        return build(of, torch.Generator().manual_seed(seed))

    def drawn(self, round_index: int) -> tuple[int, ...]:
        """Return who trains in a round, alike for every method."""
        count = len(self.families)
        random = random_stream(self.seed, "clients", round_index)
        drawn = random.choice(count, min(self.per_round, count), replace=False)
        return tuple(sorted(int(client) for client in drawn))


def of_client(client: int) -> str:
    """Return what the names of a client's tensors begin with."""
    return f"client.{client}."


def state_of(net: ChainNet) -> dict[str, Tensor]:
    """Return a copy of a network's weights and statistics."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def bytes_of(tensors: Tensors) -> int:
    """Return the bytes of tensors as they travel."""
    return sum(t.numel() * t.element_size() for t in tensors.values())


def mean_of(states: Sequence[Tensors], weights: Sequence[float]) -> dict[str, Tensor]:
    """Return the weighted mean of states of one structure; counters are averaged and rounded."""
    total = sum(weights)
    found = {}
    for name, first in states[0].items():
        exact = first.dtype if first.is_floating_point() else torch.float64
        mean = sum((s[name].to(exact) * (w / total) for s, w in zip(states, weights, strict=True)),
                   start=torch.zeros_like(first, dtype=exact))  # fmt: skip
        found[name] = (mean if first.is_floating_point() else mean.round()).to(first.dtype)
    return found
