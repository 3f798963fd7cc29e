"""Methods with one model for all users: train anew, go on training, or edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from harness.records.work import Work
from harness.workloads.unlearning.data.interactions import Ints
from harness.workloads.unlearning.methods.base import Serving, State, Step, World
from harness.workloads.unlearning.methods.edits import influence_step, scif_step
from harness.workloads.unlearning.training import Trained, learn, tune
from models.unlearning.recommenders import Factors, graph, propagated

if TYPE_CHECKING:
    from collections.abc import Callable

    Edit = Callable[[World, Factors, Ints, Ints], tuple[Factors, float]]

USERS, ITEMS = "users", "items"
PLAIN = "plain-"
"""Begins names of the vectors of LightGCN before they are averaged over the graph."""


def factors_of(state: State, prefix: str = "") -> Factors:
    """Return the vectors in a state."""
    return Factors(state[prefix + USERS], state[prefix + ITEMS])


def named(factors: Factors, prefix: str = "") -> dict[str, Tensor]:
    """Return vectors as parts of a state."""
    return {prefix + USERS: factors.users, prefix + ITEMS: factors.items}


def wiped(factors: Factors, kept: Ints) -> Factors:
    """Return vectors with zeros for users who do not stay."""
    users = torch.zeros_like(factors.users)
    rows = torch.from_numpy(kept)
    users[rows] = factors.users[rows]
    return replace(factors, users=users)


def step_work(trained: Trained, world: World) -> Work:
    """Return the work of training: steps, and pairs that went through them."""
    pairs = trained.steps * world.training.batch_size
    return Work({"step": float(trained.steps)}, {"pairs": pairs} if pairs else {})


@dataclass(frozen=True)
class LearnAll:
    """Train one model from the beginning on those who stay."""

    kept: Ints
    phase: str = "learn"

    def carry_out(self, world: World, state: State) -> tuple[State, Work]:  # noqa: ARG002
        """Return the model; rows of all others are zero."""
        found = learn(world.data.train.only(self.kept), world.training, world.seed, 0)
        return named(wiped(found.factors, self.kept)), step_work(found, world)


@dataclass(frozen=True)
class TuneAll:
    """Go on training on those who stay, from the vectors there are."""

    kept: Ints
    phase: str = "unlearn"

    def carry_out(self, world: World, state: State) -> tuple[State, Work]:
        """Return the model; rows of all others are zero."""
        pairs = world.data.train.only(self.kept)
        found = tune(pairs, world.training, factors_of(state), world.seed, 0)
        return named(wiped(found.plain, self.kept)), step_work(found, world)


@dataclass(frozen=True)
class LearnPlain:
    """Train one model, and keep the vectors that training can go on from."""

    kept: Ints
    phase: str = "learn"

    def carry_out(self, world: World, state: State) -> tuple[State, Work]:  # noqa: ARG002
        """Return the vectors before any averaging over a graph."""
        found = learn(world.data.train.only(self.kept), world.training, world.seed, 0)
        return named(wiped(found.plain, self.kept)), step_work(found, world)


@dataclass(frozen=True)
class EditAll:
    """Take one step of a solver towards what training without the users would have given."""

    edit: Edit
    gone: Ints
    kept: Ints
    wipe: bool
    phase: str = "unlearn"

    def carry_out(self, world: World, state: State) -> tuple[State, Work]:
        """Return the edited model."""
        found, operations = self.edit(world, factors_of(state), self.gone, self.kept)
        edited = wiped(found, self.kept) if self.wipe else found
        return named(edited), Work({"operation": operations})


class _OneModel:
    """Keep one model, which each request changes."""

    guarantee: ClassVar[str] = "approximate"

    def prepare(self, world: World) -> Sequence[tuple[str, Sequence[Step]]]:
        """Return one job: learn on all users."""
        return [("learn", [LearnAll(world.data.everyone)])]

    def shards_touched(self, state: State, gone: Ints) -> int:  # noqa: ARG002
        """Return 1: there is one model."""
        return 1

    def serving(self, world: World, state: State, kept: Ints) -> Serving:  # noqa: ARG002
        """Return the model."""
        return served(factors_of(state))


def served(factors: Factors) -> Serving:
    """Return vectors of one model as they answer."""
    users = factors.users.numpy()
    return Serving(users, [factors.items.numpy()], np.zeros(len(users), dtype=np.int64))


@dataclass(frozen=True)
class Retrain(_OneModel):
    """Train from the beginning on those who stay: what all others are compared with."""

    guarantee: ClassVar[str] = "exact"

    def forget(self, world: World, state: State, gone: Ints, kept: Ints) -> Sequence[Step]:  # noqa: ARG002
        """Return training anew."""
        return [LearnAll(kept, "unlearn")]


@dataclass(frozen=True)
class FineTune(_OneModel):
    """Go on for a tenth of the epochs on those who stay; what is remembered only fades."""

    def prepare(self, world: World) -> Sequence[tuple[str, Sequence[Step]]]:
        """Return one job: learn on all users."""
        return [("learn", [LearnPlain(world.data.everyone)])]

    def forget(self, world: World, state: State, gone: Ints, kept: Ints) -> Sequence[Step]:  # noqa: ARG002
        """Return training that goes on."""
        return [TuneAll(kept)]

    def serving(self, world: World, state: State, kept: Ints) -> Serving:
        """Return the model, averaged over the graph of those who stay if it is LightGCN."""
        factors = factors_of(state)
        if world.training.model != "lightgcn":
            return served(factors)
        pairs = world.data.train.only(kept)
        ends = (pairs.users, pairs.items)
        return served(propagated(factors, graph(pairs.user_count, pairs.item_count, ends)))


@dataclass(frozen=True)
class Scif(_OneModel):
    """Edit the vectors of those who leave (Li et al., arXiv 2304.10199); items stay as they are."""

    def forget(self, world: World, state: State, gone: Ints, kept: Ints) -> Sequence[Step]:  # noqa: ARG002
        """Return one Newton step of their rows, which are not wiped."""
        return [EditAll(scif_step, gone, kept, wipe=False)]


@dataclass(frozen=True)
class Influence(_OneModel):
    """Edit every item by its influence function, and drop the users (Zhang et al., 2307.02147)."""

    def forget(self, world: World, state: State, gone: Ints, kept: Ints) -> Sequence[Step]:  # noqa: ARG002
        """Return one Newton step of all items."""
        return [EditAll(influence_step, gone, kept, wipe=True)]
