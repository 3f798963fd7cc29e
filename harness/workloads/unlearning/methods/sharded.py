"""Methods with a model per shard of users: a request retrains the shards it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from harness.federated.random_streams import random_stream
from harness.records.work import Work
from harness.workloads.unlearning.data.interactions import Ints
from harness.workloads.unlearning.methods.attention import combine
from harness.workloads.unlearning.methods.base import SERVED, SHARD, Serving, State, Step, World
from harness.workloads.unlearning.methods.single import (
    ITEMS,
    USERS,
    LearnAll,
    factors_of,
    served,
    step_work,
)
from harness.workloads.unlearning.partition import (
    GREEDY_ROUNDS,
    TRANSPORT_ROUNDS,
    at_random,
    by_transport,
    greedily,
)
from harness.workloads.unlearning.training import learn, untrained
from models.unlearning.recommenders import LAYERS, Factors

ATTENTION = "attention-"


def items_name(shard: int) -> str:
    """Return what a state calls the items of a shard."""
    return f"{ITEMS}-{shard}"


def members(state: State, shard: int, kept: Ints) -> Ints:
    """Return those of a shard who stay."""
    label = state[SHARD].numpy()
    return np.asarray(kept[label[kept] == shard])


@dataclass(frozen=True)
class Partition:
    """Divide users into shards; a model that was trained for that is thrown away."""

    shards: int
    how: str
    slack: float = 1.0
    phase: str = "partition"

    def carry_out(self, world: World, state: State) -> tuple[State, Work]:
        """Return the label of each user, and an empty table of users."""
        random = random_stream(world.seed, "partition")
        users = world.data.user_count
        operations = 0.0
        if self.how == "random":
            label = at_random(users, self.shards, random)
        else:
            points = state[USERS].numpy().astype(np.float64)
            if self.how == "greedy":
                label = greedily(points, self.shards, random, self.slack)
            else:
                label = by_transport(points, self.shards, random)
            rounds = GREEDY_ROUNDS if self.how == "greedy" else TRANSPORT_ROUNDS
            operations = 3.0 * rounds * points.size * self.shards
        empty = torch.zeros(users, world.training.width)
        return {SHARD: torch.from_numpy(label), USERS: empty}, Work({"operation": operations})


@dataclass(frozen=True)
class LearnShard:
    """Train the model of one shard from the beginning on those of it who stay."""

    shard: int
    kept: Ints
    phase: str = "learn"

    def carry_out(self, world: World, state: State) -> tuple[State, Work]:
        """Return the state with the shard's rows of users and its table of items.

        A shard that nobody is left in is not trained; its items stay as they began.
        """
        mine = members(state, self.shard, self.kept)
        found = learn(world.data.train.only(mine), world.training, world.seed, self.shard)
        users = state[USERS].clone()
        users[state[SHARD] == self.shard] = 0.0
        rows = torch.from_numpy(mine)
        users[rows] = found.factors.users[rows]
        changed = {USERS: users, items_name(self.shard): found.factors.items}
        return {**state, **changed}, step_work(found, world)


@dataclass(frozen=True)
class Combine:
    """Train the attention over all shards on all pairs that remain."""

    shards: int
    kept: Ints
    phase: str = "aggregate"

    def carry_out(self, world: World, state: State) -> tuple[State, Work]:
        """Return the state with the attention and the vectors that answer."""
        pairs = world.data.train.only(self.kept)
        found = [self._of_shard(world, state, shard) for shard in range(self.shards)]
        weights, whole, steps = combine(pairs, found, world.seed)
        users = torch.zeros_like(whole.users)
        rows = torch.from_numpy(self.kept)
        users[rows] = whole.users[rows]
        changed = {ATTENTION + name: tensor for name, tensor in weights.items()}
        changed |= {SERVED + USERS: users, SERVED + ITEMS: whole.items}
        return {**state, **changed}, Work({"attention": float(steps)})

    def _of_shard(self, world: World, state: State, shard: int) -> Factors:
        """Return a shard's vectors; of users it never met they are as they began, drawn anew."""
        pairs = world.data.train
        users = untrained(pairs, world.training, world.seed, shard).users
        if world.training.model == "lightgcn":
            users = users / (LAYERS + 1)  # who has no neighbours is the mean of itself and zeros
        mine = torch.from_numpy(members(state, shard, self.kept))
        users[mine] = state[USERS][mine]
        return Factors(users, state[items_name(shard)])


@dataclass(frozen=True)
class Sisa:
    """Shard users at random; each is answered by the own shard (Bourtoule et al., S&P 2021)."""

    shards: int = 10
    slack: float = 1.0

    guarantee: ClassVar[str] = "exact"
    how: ClassVar[str] = "random"

    def prepare(self, world: World) -> Sequence[tuple[str, Sequence[Step]]]:
        """Return jobs: divide the users, learn each shard."""
        everyone = world.data.everyone
        partition = Partition(self.shards, self.how, self.slack)
        pretrained: list[tuple[str, Sequence[Step]]] = []
        if self.how != "random":
            pretrained = [("pre-train", [LearnAll(everyone)])]
        learned = [
            (f"shard-{shard}", [LearnShard(shard, everyone)]) for shard in range(self.shards)
        ]
        return [*pretrained, ("partition", [partition]), *learned, *self._last(everyone)]

    def _last(self, everyone: Ints) -> Sequence[tuple[str, Sequence[Step]]]:  # noqa: ARG002
        """Return the jobs after all shards have learned."""
        return []

    def forget(self, world: World, state: State, gone: Ints, kept: Ints) -> Sequence[Step]:  # noqa: ARG002
        """Return training of the shards that lose users."""
        touched = np.unique(state[SHARD].numpy()[gone]).tolist()
        return [LearnShard(shard, kept, "unlearn") for shard in touched]

    def shards_touched(self, state: State, gone: Ints) -> int:
        """Return how many shards lose users."""
        return len(np.unique(state[SHARD].numpy()[gone]))

    def serving(self, world: World, state: State, kept: Ints) -> Serving:  # noqa: ARG002
        """Return each user's row, and the items of the own shard."""
        tables = [state[items_name(shard)].numpy() for shard in range(self.shards)]
        return Serving(state[USERS].numpy(), tables, state[SHARD].numpy())


@dataclass(frozen=True)
class UltraRe(Sisa):
    """Shard users by optimal transport; each is answered by the own shard (NeurIPS 2023)."""

    how: ClassVar[str] = "transport"


@dataclass(frozen=True)
class RecEraser(Sisa):
    """Shard users greedily by balanced clusters; an attention over all shards answers."""

    how: ClassVar[str] = "greedy"

    def _last(self, everyone: Ints) -> Sequence[tuple[str, Sequence[Step]]]:
        return [("combine", [Combine(self.shards, everyone)])]

    def forget(self, world: World, state: State, gone: Ints, kept: Ints) -> Sequence[Step]:
        """Return training of the shards that lose users, and of the attention after that."""
        return [*super().forget(world, state, gone, kept), Combine(self.shards, kept)]

    def serving(self, world: World, state: State, kept: Ints) -> Serving:  # noqa: ARG002
        """Return the combined vectors; of shards it is known who is in which."""
        return served(factors_of(state, SERVED))
