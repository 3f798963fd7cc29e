"""Define what methods are made of: a state of tensors, steps that make a new one, jobs of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch import Tensor

from harness.records.work import Work
from harness.workloads.unlearning.data.interactions import Interactions, Ints
from harness.workloads.unlearning.training import Training

State = Mapping[str, Tensor]
"""Everything a method keeps, by name; never changed in place, so that a copy costs nothing."""

SHARD = "shard"
"""Name of the tensor that says which shard each user is in."""

SERVED = "served-"
"""Begins names of tensors that follow from the others, so that nobody has to store them."""

Judged = Mapping[str, Mapping[str, float]]
"""Values by what they are of (a scenario; empty for the model as prepared) and by metric."""


@dataclass(frozen=True)
class World:
    """Hold what all jobs of a cell share."""

    data: Interactions
    training: Training
    seed: int


class Step(Protocol):
    """Do one thing to a state, in a phase of its own."""

    @property
    def phase(self) -> str:
        """Return what it is measured as."""
        ...

    def carry_out(self, world: World, state: State) -> tuple[State, Work]:
        """Return the new state, and what was done; the old one stays as it is."""
        ...


@dataclass(frozen=True)
class Job:
    """Ask for steps one after another; what comes of them replaces the state only at the end.

    Attributes:
        name: what files and marks call it.
        steps: what is done.
        start: the state before.
        request: number of the request it answers, from 0; None if it prepares for requests.
        users: who is forgotten.
        judge: judges the state afterwards.
        window_s: seconds that a request is to be repeated for, so that a meter sees it.
    """

    name: str
    steps: Sequence[Step] = field(compare=False)
    start: State = field(default_factory=dict, compare=False, repr=False)
    request: int | None = None
    users: tuple[int, ...] = ()
    judge: Callable[[State], Judged] | None = field(default=None, compare=False, repr=False)
    window_s: float = field(default=0.0, compare=False)
    units: tuple[str, ...] = ("model",)
    first_round: int = 0
    last_round: int = 1


@dataclass(frozen=True)
class Outcome:
    """Hold what came of a job: the state, its values, how often its request was begun before.

    `copies` counts how often a request was repeated for the meter.
    """

    job: Job
    state: State = field(repr=False)
    judged: Judged
    begun_before: int = 0
    copies: int = 0


@dataclass(frozen=True)
class Serving:
    """Hold vectors as they answer: users' in rows, and tables of items, one for each user.

    Attributes:
        users: one row a user.
        tables: one or several tables with a row an item.
        table: which of them each user is answered from.
    """

    users: np.ndarray
    tables: Sequence[np.ndarray]
    table: Ints

    def items_of(self, user: int) -> np.ndarray:
        """Return the item vectors that a user is answered from."""
        return self.tables[int(self.table[user])]

    def scores(self, users: Ints) -> np.ndarray:
        """Return a row of scores of all items for each of these users."""
        found = np.empty((len(users), len(self.tables[0])), dtype=np.float32)
        for number in np.unique(self.table[users]):
            mine = self.table[users] == number
            found[mine] = self.users[users[mine]] @ self.tables[number].T
        return found


class Method(Protocol):
    """Prepare for requests, and answer them."""

    @property
    def guarantee(self) -> str:
        """Return `exact` if the result is that of training without them, else `approximate`."""
        ...

    def prepare(self, world: World) -> Sequence[tuple[str, Sequence[Step]]]:
        """Return the jobs before the first request: name and steps of each."""
        ...

    def forget(self, world: World, state: State, gone: Ints, kept: Ints) -> Sequence[Step]:
        """Return what is done to forget `gone`, so that `kept` stay."""
        ...

    def shards_touched(self, state: State, gone: Ints) -> int:
        """Return how many models a request changes."""
        ...

    def serving(self, world: World, state: State, kept: Ints) -> Serving:
        """Return the vectors that answer."""
        ...


def stored_bytes(state: State) -> int:
    """Return the bytes of what must be kept to answer users and the next request."""
    return sum(
        tensor.numel() * tensor.element_size()
        for name, tensor in state.items()
        if name != SHARD and not name.startswith(SERVED)
    )
